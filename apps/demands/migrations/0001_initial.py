"""What is needed."""

import apps.core.models
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.functions.text
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('catalogue', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Demand',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('updated_hour', models.GeneratedField(db_persist=True, expression=apps.core.models.HourOf(models.F('updated_at')), output_field=models.DateTimeField())),
                ('state_note', models.CharField(blank=True, max_length=500, verbose_name='note on the state')),
                ('confirmed_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last confirmed')),
                ('asked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('match_requested_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('match_claimed_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('source', models.CharField(blank=True, editable=False, max_length=60, verbose_name='imported from')),
                ('source_key', models.CharField(blank=True, editable=False, max_length=200, verbose_name='key there')),
                ('reference', models.CharField(editable=False, max_length=20, verbose_name='reference')),
                ('quantity', models.BigIntegerField(blank=True, null=True, verbose_name='quantity')),
                ('quantity_kind', models.CharField(choices=[('exact', 'exactly'), ('estimate', 'about'), ('at_least', 'at least'), ('unspecified', 'not known yet')], default='exact', max_length=12, verbose_name='quantity is')),
                ('quantity_held', models.BigIntegerField(default=0, editable=False, verbose_name='asked of suppliers')),
                ('quantity_matched', models.BigIntegerField(default=0, editable=False, verbose_name='accepted by suppliers')),
                ('quantity_received', models.BigIntegerField(default=0, editable=False, verbose_name='received')),
                ('accepts_substitutes', models.BooleanField(default=False, verbose_name='substitutes are welcome')),
                ('address', models.CharField(blank=True, max_length=300, verbose_name='delivery address')),
                ('contact_name', models.CharField(blank=True, max_length=100, verbose_name='contact person')),
                ('contact_phone', models.CharField(blank=True, max_length=60, verbose_name='contact phone')),
                ('needed_by', models.DateTimeField(blank=True, null=True, verbose_name='needed by')),
                ('urgency', models.CharField(choices=[('emergency', 'Emergency'), ('urgent', 'Urgent'), ('routine', 'Routine')], default='urgent', max_length=10, verbose_name='urgency')),
                ('days_of_supply', models.PositiveSmallIntegerField(blank=True, help_text='How many days your stock will last.', null=True, verbose_name='days of supply left')),
                ('note', models.TextField(blank=True, max_length=2000, verbose_name='note')),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('open', 'Open'), ('matched', 'Matched'), ('fulfilled', 'Received'), ('paused', 'Paused'), ('stale', 'Expired: nobody confirmed it'), ('cancelled', 'Cancelled')], default='draft', editable=False, max_length=10, verbose_name='state')),
                ('state_code', models.CharField(blank=True, choices=[('quantity_unusual', 'This quantity is unusual. A coordinator will review it first.'), ('approval_required', 'In this region a coordinator reviews every need before it goes out.'), ('returned', 'A coordinator returned it.'), ('returned_and_amended', 'A coordinator returned it; it was changed since.'), ('organisation_unverified', 'It goes out as soon as the organisation is verified.'), ('nobody_confirmed', 'Nobody confirmed that this is still needed.')], editable=False, max_length=30, verbose_name='reason')),
                ('opened_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='opened')),
                ('review_requested_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='waits for a coordinator since')),
                ('escalates_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('escalating_since', models.DateTimeField(blank=True, editable=False, null=True)),
                ('ask_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('stale_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('item', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='demands', to='catalogue.item', verbose_name='item')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='demands', to='accounts.organisation', verbose_name='organisation')),
                ('posted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='posted by')),
                ('region', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalogue.region', verbose_name='region')),
                ('standard', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalogue.standard', verbose_name='standard')),
            ],
            options={
                'verbose_name': 'need',
                'verbose_name_plural': 'needs',
                'abstract': False,
                'indexes': [models.Index(django.db.models.functions.text.Upper('reference'), name='demand_by_reference'), models.Index(fields=['organisation', '-id'], name='demand_by_organisation'), models.Index(fields=['item', 'state'], name='demand_by_item'), models.Index(fields=['region', 'state'], name='demand_by_region'), models.Index(fields=['updated_hour'], name='demand_by_change'), models.Index(condition=models.Q(('match_requested_at__isnull', False)), fields=['match_requested_at'], name='demand_match_queue'), models.Index(condition=models.Q(('state', 'open')), fields=['escalates_at'], name='demand_escalation_clock'), models.Index(condition=models.Q(('state', 'draft'), ('state_code__in', ['quantity_unusual', 'approval_required'])), fields=['escalates_at'], name='demand_review_clock'), models.Index(condition=models.Q(('state', 'open')), fields=['stale_at'], name='demand_stale_clock'), models.Index(condition=models.Q(('asked_at', None), ('state', 'open')), fields=['ask_at'], name='demand_question_clock')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'open', 'matched', 'fulfilled', 'paused', 'stale', 'cancelled'])), name='demand_state_known'), models.CheckConstraint(condition=models.Q(('state_code__in', ['', 'quantity_unusual', 'approval_required', 'returned', 'returned_and_amended', 'organisation_unverified', 'nobody_confirmed'])), name='demand_state_code_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'draft'), ('state_code__in', ['quantity_unusual', 'approval_required']), _negated=True), ('review_requested_at__isnull', False), _connector='OR'), name='demand_review_has_a_beginning'), models.CheckConstraint(condition=models.Q(('urgency__in', ['emergency', 'urgent', 'routine'])), name='demand_urgency_known'), models.CheckConstraint(condition=models.Q(('escalates_at', None), ('escalating_since__isnull', False), _connector='OR'), name='demand_escalates_since'), models.CheckConstraint(condition=models.Q(('quantity_kind__in', ['exact', 'estimate', 'at_least', 'unspecified']), models.Q(models.Q(('quantity', None), ('quantity_kind', 'unspecified')), models.Q(models.Q(('quantity_kind', 'unspecified'), _negated=True), ('quantity__gt', 0), ('quantity__isnull', False), ('quantity__lte', 1000000000000)), _connector='OR')), name='demand_quantity_honest'), models.CheckConstraint(condition=models.Q(('quantity_held__gte', 0), ('quantity_matched__gte', 0), ('quantity_received__gte', 0)), name='demand_quantities_not_negative'), models.CheckConstraint(condition=models.Q(('quantity', None), ('quantity__gte', django.db.models.expressions.CombinedExpression(models.F('quantity_held'), '+', models.F('quantity_matched'))), _connector='OR'), name='demand_not_overserved'), models.CheckConstraint(condition=models.Q(('quantity_received__lte', models.F('quantity_matched'))), name='demand_received_was_matched'), models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'cancelled']), models.Q(('confirmed_at__isnull', False), ('opened_at__isnull', False)), _connector='OR'), name='demand_open_implies_opened_at'), models.UniqueConstraint(condition=models.Q(('source', ''), _negated=True), fields=('source', 'source_key'), name='demand_imported_once')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='demand',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW.updated_at <= OLD.updated_at)', func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='6229f7534d45197948129952d2fad3905a3cc22c', operation='UPDATE', pgid='pgtrigger_keep_updated_at_20bb2', table='demands_demand', when='BEFORE')),
        ),
        # Counters change all the time: room on the page for the next version of a row.
        migrations.RunSQL("ALTER TABLE demands_demand SET (fillfactor = 80)", migrations.RunSQL.noop),
    ]
