"""What is offered."""

import apps.core.models
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

from apps.core.sql import install


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('catalogue', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Offer',
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
                ('quantity', models.BigIntegerField(default=0, help_text='All that you offer, in base units.', verbose_name='quantity')),
                ('quantity_reserved', models.BigIntegerField(default=0, editable=False, verbose_name='promised')),
                ('daily_capacity', models.BigIntegerField(blank=True, null=True, verbose_name='daily capacity')),
                ('minimum_order', models.BigIntegerField(default=1, verbose_name='minimum order')),
                ('lead_time_days', models.PositiveSmallIntegerField(default=0, verbose_name='lead time in days')),
                ('unit_price', models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True, verbose_name='price per unit')),
                ('currency', models.CharField(default='CNY', max_length=3, verbose_name='currency')),
                ('is_donation', models.BooleanField(default=False, verbose_name='donation')),
                ('ships_to', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=10), blank=True, default=list, help_text='Region codes; empty means anywhere.', size=None, verbose_name='ships to')),
                ('certificate_number', models.CharField(blank=True, max_length=60, verbose_name='certificate number')),
                ('certificate_valid_until', models.DateField(blank=True, null=True, verbose_name='certificate valid until')),
                ('note', models.TextField(blank=True, max_length=2000, verbose_name='note')),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('published', 'Published'), ('paused', 'Paused'), ('stale', 'Not confirmed for long'), ('withdrawn', 'Withdrawn')], default='draft', editable=False, max_length=10, verbose_name='state')),
                ('state_code', models.CharField(blank=True, choices=[('nobody_confirmed', 'Nobody confirmed that this is still there.'), ('goods_gone', 'You said that the goods are gone.'), ('capacity_unknown', 'The board does not say how much can be made in a day.')], editable=False, max_length=30, verbose_name='reason')),
                ('published_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='published')),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='offers', to='catalogue.item', verbose_name='item')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='offers', to='accounts.organisation', verbose_name='organisation')),
                ('origin_region', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalogue.region', verbose_name='ships from')),
                ('posted_by', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='posted by')),
                ('standard', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalogue.standard', verbose_name='standard')),
            ],
            options={
                'verbose_name': 'offer',
                'verbose_name_plural': 'offers',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='OriginRegion',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('catalogue.region',),
        ),
        migrations.CreateModel(
            name='OfferChange',
            fields=[
                ('offer', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='noted_change', serialize=False, to='supply.offer')),
                ('changed_at', models.DateTimeField()),
            ],
            options={
                'verbose_name': 'change of an offer',
                'verbose_name_plural': 'changes of offers',
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='originregion',
            trigger=pgtrigger.compiler.Trigger(name='note_moved_offers', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."latitude" IS DISTINCT FROM (NEW."latitude") OR OLD."longitude" IS DISTINCT FROM (NEW."longitude") OR OLD."path" IS DISTINCT FROM (NEW."path"))', func="\n                    INSERT INTO supply_offerchange (offer_id, item_id, changed_at)\n                    SELECT offer.id, offer.item_id, clock_timestamp() FROM supply_offer offer\n                    WHERE offer.origin_region_id = NEW.code AND offer.state = 'published' ORDER BY offer.id\n                    ON CONFLICT (offer_id) DO UPDATE SET changed_at = excluded.changed_at;\n                    RETURN NULL;\n                ", hash='e29bc371d8c107865e3e3fb4175933aa586c26f9', operation='UPDATE OF "latitude", "longitude", "path"', pgid='pgtrigger_note_moved_offers_d20bc', table='catalogue_region', when='AFTER')),
        ),
        migrations.AddField(
            model_name='offerchange',
            name='item',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='catalogue.item'),
        ),
        migrations.AddIndex(
            model_name='offer',
            index=models.Index(fields=['organisation', '-id'], name='offer_by_organisation'),
        ),
        migrations.AddIndex(
            model_name='offer',
            index=models.Index(fields=['origin_region'], name='offer_by_origin'),
        ),
        migrations.AddIndex(
            model_name='offer',
            index=models.Index(condition=models.Q(('state', 'published')), fields=['item'], name='offer_published_by_item'),
        ),
        migrations.AddIndex(
            model_name='offer',
            index=models.Index(fields=['updated_hour'], name='offer_by_change'),
        ),
        migrations.AddIndex(
            model_name='offer',
            index=models.Index(condition=models.Q(('match_requested_at__isnull', False)), fields=['match_requested_at'], name='offer_match_queue'),
        ),
        migrations.AddIndex(
            model_name='offer',
            index=models.Index(condition=models.Q(('state', 'published')), fields=['confirmed_at'], name='offer_fresh_clock'),
        ),
        migrations.AddIndex(
            model_name='offer',
            index=django.contrib.postgres.indexes.GinIndex(fields=['ships_to'], name='offer_by_destination'),
        ),
        migrations.AddConstraint(
            model_name='offer',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'published', 'paused', 'stale', 'withdrawn'])), name='offer_state_known'),
        ),
        migrations.AddConstraint(
            model_name='offer',
            constraint=models.CheckConstraint(condition=models.Q(('state_code__in', ['', 'nobody_confirmed', 'goods_gone', 'capacity_unknown'])), name='offer_state_code_known'),
        ),
        migrations.AddConstraint(
            model_name='offer',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gte', 0), ('quantity__lte', 1000000000000)), name='offer_quantity_in_range'),
        ),
        migrations.AddConstraint(
            model_name='offer',
            constraint=models.CheckConstraint(condition=models.Q(('quantity_reserved__gte', 0), ('quantity_reserved__lte', models.F('quantity'))), name='offer_not_oversold'),
        ),
        migrations.AddConstraint(
            model_name='offer',
            constraint=models.CheckConstraint(condition=models.Q(('daily_capacity', None), models.Q(('daily_capacity__gt', 0), ('daily_capacity__lte', 1000000000000)), _connector='OR'), name='offer_capacity_in_range'),
        ),
        migrations.AddConstraint(
            model_name='offer',
            constraint=models.CheckConstraint(condition=models.Q(('minimum_order__gt', 0), ('minimum_order__lte', 1000000000000)), name='offer_minimum_in_range'),
        ),
        migrations.AddConstraint(
            model_name='offer',
            constraint=models.CheckConstraint(condition=models.Q(('unit_price', None), ('unit_price__gte', 0), _connector='OR'), name='offer_price_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='offer',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'withdrawn']), models.Q(('confirmed_at__isnull', False), ('published_at__isnull', False), ('quantity__gt', 0)), _connector='OR'), name='offer_published_is_complete'),
        ),
        migrations.AddConstraint(
            model_name='offer',
            constraint=models.UniqueConstraint(condition=models.Q(('source', ''), _negated=True), fields=('source', 'source_key'), name='offer_imported_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='offer',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW.updated_at <= OLD.updated_at)', func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='d532d9b6851c162a7ace58bcadcde5aa05be844a', operation='UPDATE', pgid='pgtrigger_keep_updated_at_2b153', table='supply_offer', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='offer',
            trigger=pgtrigger.compiler.Trigger(name='note_new', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW."state" = \'published\')', func='\n    INSERT INTO supply_offerchange (offer_id, item_id, changed_at)\n    VALUES (NEW.id, NEW.item_id, clock_timestamp())\n    ON CONFLICT (offer_id) DO UPDATE SET item_id = excluded.item_id, changed_at = excluded.changed_at;\n    RETURN NULL;\n', hash='6f08f4b291a6ebf4a8741799dbfcd18385afbd29', operation='INSERT', pgid='pgtrigger_note_new_7697c', table='supply_offer', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='offer',
            trigger=pgtrigger.compiler.Trigger(name='note_change', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."confirmed_at" IS DISTINCT FROM (NEW."confirmed_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."is_donation" IS DISTINCT FROM (NEW."is_donation") OR OLD."item_id" IS DISTINCT FROM (NEW."item_id") OR OLD."lead_time_days" IS DISTINCT FROM (NEW."lead_time_days") OR OLD."minimum_order" IS DISTINCT FROM (NEW."minimum_order") OR OLD."organisation_id" IS DISTINCT FROM (NEW."organisation_id") OR OLD."origin_region_id" IS DISTINCT FROM (NEW."origin_region_id") OR OLD."quantity" IS DISTINCT FROM (NEW."quantity") OR OLD."ships_to" IS DISTINCT FROM (NEW."ships_to") OR OLD."standard_id" IS DISTINCT FROM (NEW."standard_id") OR OLD."state" IS DISTINCT FROM (NEW."state") OR OLD."unit_price" IS DISTINCT FROM (NEW."unit_price"))', func='\n    INSERT INTO supply_offerchange (offer_id, item_id, changed_at)\n    VALUES (NEW.id, NEW.item_id, clock_timestamp())\n    ON CONFLICT (offer_id) DO UPDATE SET item_id = excluded.item_id, changed_at = excluded.changed_at;\n    RETURN NULL;\n', hash='dc816d030c498e35b04748e02702bf48548e66f2', operation='UPDATE OF "state", "item_id", "organisation_id", "standard_id", "quantity", "minimum_order", "lead_time_days", "unit_price", "currency", "is_donation", "origin_region_id", "ships_to", "confirmed_at"', pgid='pgtrigger_note_change_ff8ed', table='supply_offer', when='AFTER')),
        ),
        install("supply", "sql/supply_published.sql"),
    ]
