"""Matches, escalations, shortfalls, replays, and the offer index."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

from apps.core.sql import install, name_foreign_key


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('catalogue', '0001_initial'),
        ('demands', '0001_initial'),
        ('policy', '0001_initial'),
        ('supply', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ReferencePrice',
            fields=[
                ('item', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='reference_price', serialize=False, to='catalogue.item')),
                ('price', models.FloatField(verbose_name='price per unit')),
                ('currency', models.CharField(default='CNY', max_length=3, verbose_name='currency')),
                ('taken_at', models.DateTimeField(verbose_name='taken')),
            ],
            options={
                'verbose_name': 'reference price',
                'verbose_name_plural': 'reference prices',
            },
        ),
        migrations.CreateModel(
            name='SupplierRecord',
            fields=[
                ('organisation', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='record', serialize=False, to='accounts.organisation')),
                ('kept', models.PositiveIntegerField(verbose_name='kept')),
                ('broken', models.PositiveIntegerField(verbose_name='broken')),
                ('counted_at', models.DateTimeField(verbose_name='counted')),
            ],
            options={
                'verbose_name': 'record of a supplier',
                'verbose_name_plural': 'records of suppliers',
            },
        ),
        migrations.CreateModel(
            name='IndexCell',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('city', models.CharField(blank=True, db_collation='C', max_length=10)),
                ('policy_version', models.PositiveIntegerField()),
                ('best_key', models.FloatField()),
                ('soonest', models.PositiveSmallIntegerField()),
                ('min_x', models.FloatField(null=True)),
                ('max_x', models.FloatField(null=True)),
                ('min_y', models.FloatField(null=True)),
                ('max_y', models.FloatField(null=True)),
                ('min_z', models.FloatField(null=True)),
                ('max_z', models.FloatField(null=True)),
                ('item', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalogue.item')),
            ],
            options={
                'verbose_name': 'cell of the offer index',
                'verbose_name_plural': 'cells of the offer index',
            },
        ),
        migrations.CreateModel(
            name='IndexedOffer',
            fields=[
                ('offer', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='indexed', serialize=False, to='supply.offer')),
                ('city', models.CharField(blank=True, db_collation='C', max_length=10)),
                ('key', models.FloatField()),
                ('good_until', models.DateTimeField()),
                ('quantity', models.BigIntegerField()),
                ('minimum_order', models.BigIntegerField()),
                ('areas', models.BigIntegerField()),
                ('lead_time_days', models.PositiveSmallIntegerField()),
                ('x', models.FloatField(null=True)),
                ('y', models.FloatField(null=True)),
                ('z', models.FloatField(null=True)),
                ('standard_id', models.BigIntegerField(null=True)),
                ('item', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='catalogue.item')),
            ],
            options={
                'verbose_name': 'indexed offer',
                'verbose_name_plural': 'indexed offers',
            },
        ),
        migrations.CreateModel(
            name='Match',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('quantity', models.BigIntegerField(verbose_name='quantity')),
                ('quantity_asked', models.BigIntegerField(verbose_name='quantity asked for')),
                ('rank', models.PositiveSmallIntegerField(verbose_name='rank')),
                ('score', models.FloatField(verbose_name='score')),
                ('terms', models.JSONField(default=list, verbose_name='reasons')),
                ('policy_version', models.PositiveIntegerField(verbose_name='policy version')),
                ('is_substitute', models.BooleanField(default=False, verbose_name='substitute')),
                ('tier', models.PositiveSmallIntegerField(help_text='Of the need, after ageing, when this was decided.', verbose_name='tier')),
                ('state', models.CharField(choices=[('held', "Waiting for the supplier's answer"), ('standby', 'Backup'), ('accepted', 'Accepted'), ('declined', 'Declined'), ('expired', 'Not answered in time'), ('superseded', 'Replaced by a higher priority'), ('cancelled', 'Cancelled')], default='held', max_length=12, verbose_name='state')),
                ('respond_by', models.DateTimeField(blank=True, null=True, verbose_name='answer by')),
                ('responded_at', models.DateTimeField(blank=True, null=True, verbose_name='answered')),
                ('decline_reason', models.CharField(blank=True, choices=[('gone', 'The goods are gone'), ('price', 'The price does not fit'), ('distance', 'Too far away'), ('standard', 'Not the right standard'), ('other', 'Another reason')], max_length=10, verbose_name='reason')),
                ('decline_note', models.CharField(blank=True, max_length=500, verbose_name='note')),
                ('lead_time_days', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='lead time in days')),
                ('quantity_lost', models.BigIntegerField(db_default=0, editable=False)),
                ('withdrawal_notice_pending', models.BooleanField(db_default=False, editable=False)),
                ('demand', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='matches', to='demands.demand', verbose_name='need')),
                ('offer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='matches', to='supply.offer', verbose_name='offer')),
                ('responded_by', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'match',
                'verbose_name_plural': 'matches',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Replay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('settings', models.JSONField(verbose_name='settings of the draft')),
                ('policy_version', models.PositiveIntegerField(verbose_name='compared with version')),
                ('since', models.DateTimeField(verbose_name='from')),
                ('until', models.DateTimeField(verbose_name='until')),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed')], default='waiting', max_length=10, verbose_name='state')),
                ('groups', models.JSONField(default=None, null=True, verbose_name='groups of items')),
                ('groups_done', models.PositiveIntegerField(default=0, verbose_name='groups done')),
                ('needs', models.PositiveIntegerField(default=0, verbose_name='needs')),
                ('left_out', models.PositiveIntegerField(default=0, verbose_name='needs left out')),
                ('apart', models.PositiveIntegerField(default=0, verbose_name='times that too much competed to be decided together')),
                ('differing', models.PositiveIntegerField(default=0, verbose_name='needs served otherwise')),
                ('totals', models.JSONField(default=dict, verbose_name='sums')),
                ('attempts', models.PositiveSmallIntegerField(default=0, verbose_name='attempts')),
                ('claimed_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('draft', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='replays', to='policy.policydraft', verbose_name='draft')),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='by')),
            ],
            options={
                'verbose_name': 'replay of a draft',
                'verbose_name_plural': 'replays of a draft',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ReplayedNeed',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('before', models.JSONField(verbose_name='under the policy in force')),
                ('after', models.JSONField(verbose_name='under the draft')),
                ('demand', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='demands.demand', verbose_name='need')),
                ('replay', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='replayed', to='matching.replay', verbose_name='replay')),
            ],
            options={
                'verbose_name': 'need replayed',
                'verbose_name_plural': 'needs replayed',
            },
        ),
        migrations.CreateModel(
            name='Shortfall',
            fields=[
                ('demand', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='shortfall', serialize=False, to='demands.demand', verbose_name='need')),
                ('given', models.BigIntegerField(verbose_name='given')),
                ('wanting', models.BigIntegerField(verbose_name='wanting')),
                ('because', models.CharField(max_length=10, verbose_name='why not more')),
                ('others', models.PositiveIntegerField(verbose_name='others of the same priority that were given some')),
                ('above', models.PositiveIntegerField(verbose_name='needs of higher priority that were given some')),
                ('policy_version', models.PositiveIntegerField(verbose_name='policy version')),
                ('decided_at', models.DateTimeField(verbose_name='decided')),
            ],
            options={
                'verbose_name': 'shortfall',
                'verbose_name_plural': 'shortfalls',
                'constraints': [models.CheckConstraint(condition=models.Q(('given__gte', 0), ('given__lt', models.F('wanting'))), name='shortfall_is_short'), models.CheckConstraint(condition=models.Q(('because__in', ['no_source', 'minimum', 'capped', 'shared', 'higher', 'exhausted'])), name='shortfall_reason_known')],
            },
        ),
        migrations.CreateModel(
            name='Escalation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('level', models.PositiveSmallIntegerField(help_text='1 is the nearest coordinator.', verbose_name='level')),
                ('tried', models.JSONField(default=dict, verbose_name='what was tried')),
                ('for_approval', models.BooleanField(default=False, verbose_name='awaits review')),
                ('since', models.DateTimeField(editable=False)),
                ('demand', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='escalations', to='demands.demand', verbose_name='need')),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organisation', verbose_name='coordinator')),
            ],
            options={
                'verbose_name': 'escalation',
                'verbose_name_plural': 'escalations',
                'abstract': False,
                'constraints': [models.UniqueConstraint(fields=('demand', 'organisation', 'for_approval', 'since'), name='escalation_once')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='escalation',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='903f833e990a853ff9625418536f18de2bc97603', operation='UPDATE', pgid='pgtrigger_keep_updated_at_7107c', table='matching_escalation', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='indexcell',
            constraint=models.UniqueConstraint(fields=('item', 'city'), name='index_cell_once'),
        ),
        migrations.AddIndex(
            model_name='indexedoffer',
            index=models.Index(fields=['item', 'city', '-key'], include=('offer', 'quantity', 'minimum_order', 'areas', 'lead_time_days', 'x', 'y', 'z', 'standard_id'), name='indexed_offer_best_first'),
        ),
        migrations.AddIndex(
            model_name='indexedoffer',
            index=models.Index(fields=['item', 'good_until'], name='indexed_offer_by_end'),
        ),
        migrations.AddConstraint(
            model_name='indexedoffer',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gte', 0)), name='indexed_offer_quantity_in_range'),
        ),
        migrations.AddIndex(
            model_name='match',
            index=models.Index(fields=['demand', 'state'], name='match_by_demand'),
        ),
        migrations.AddIndex(
            model_name='match',
            index=models.Index(fields=['offer', 'state'], name='match_by_offer'),
        ),
        migrations.AddIndex(
            model_name='match',
            index=models.Index(condition=models.Q(('state', 'held')), fields=['respond_by'], name='match_deadlines'),
        ),
        migrations.AddIndex(
            model_name='match',
            index=models.Index(fields=['updated_at', 'id'], name='match_by_change'),
        ),
        migrations.AddIndex(
            model_name='match',
            index=models.Index(condition=models.Q(('withdrawal_notice_pending', True)), fields=['id'], name='match_withdrawal_queue'),
        ),
        migrations.AddIndex(
            model_name='match',
            index=models.Index(condition=models.Q(('decline_reason__in', ('distance', 'standard')), ('state', 'declined')), fields=['offer'], name='match_lessons'),
        ),
        migrations.AddConstraint(
            model_name='match',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['held', 'standby', 'accepted', 'declined', 'expired', 'superseded', 'cancelled'])), name='match_state_known'),
        ),
        migrations.AddConstraint(
            model_name='match',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0), ('quantity__lte', models.F('quantity_asked'))), name='match_quantity_in_range'),
        ),
        migrations.AddConstraint(
            model_name='match',
            constraint=models.CheckConstraint(condition=models.Q(('quantity_lost__gte', 0)), name='match_lost_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='match',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'held'), _negated=True), ('respond_by__isnull', False), _connector='OR'), name='match_held_has_deadline'),
        ),
        migrations.AddConstraint(
            model_name='match',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['accepted', 'declined']), _negated=True), ('responded_at__isnull', False), _connector='OR'), name='match_answered_at_known'),
        ),
        migrations.AddConstraint(
            model_name='match',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'declined'), _negated=True), models.Q(('decline_reason', ''), _negated=True), _connector='OR'), name='match_declined_with_reason'),
        ),
        migrations.AddConstraint(
            model_name='match',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ('held', 'standby'))), fields=('demand', 'offer'), name='match_pending_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='match',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='445a072bb9e0a0ad9804b44a6a1c80cf86a4370c', operation='UPDATE', pgid='pgtrigger_keep_updated_at_ddf42', table='matching_match', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='replay',
            index=models.Index(condition=models.Q(('state__in', ['waiting', 'running'])), fields=['id'], name='replay_queue'),
        ),
        migrations.AddConstraint(
            model_name='replay',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'running', 'done', 'failed'])), name='replay_state_known'),
        ),
        migrations.AddConstraint(
            model_name='replay',
            constraint=models.CheckConstraint(condition=models.Q(('since__lt', models.F('until'))), name='replay_since_before_until'),
        ),
        migrations.AddConstraint(
            model_name='replay',
            constraint=models.CheckConstraint(condition=models.Q(('differing__lte', models.F('needs'))), name='replay_differing_of_needs'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='replay',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='3f697fd19fd8f87fbde6210cbc461306753d8fcc', operation='UPDATE', pgid='pgtrigger_keep_updated_at_3f6a3', table='matching_replay', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='replayedneed',
            index=models.Index(fields=['replay', '-id'], name='replayed_by_replay'),
        ),
        migrations.AddConstraint(
            model_name='replayedneed',
            constraint=models.UniqueConstraint(fields=('replay', 'demand'), name='replayed_once'),
        ),
        name_foreign_key("match", "demand", "match_demand_exists"),
        name_foreign_key("match", "responded_by", "match_responded_by_exists"),
        install(
            "matching",
            "holds/sql/matching_hold_request.sql",
            "search/sql/matching_search.sql",
            "search/sql/matching_best.sql",
        ),
    ]
