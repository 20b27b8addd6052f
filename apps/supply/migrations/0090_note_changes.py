import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalogue', '0003_search_without_pending_list'),
        ('supply', '0081_state_code_known'),
    ]

    operations = [
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
        pgtrigger.migrations.AddTrigger(
            model_name='offer',
            trigger=pgtrigger.compiler.Trigger(name='note_new', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW."state" = \'published\')', func='\n    INSERT INTO supply_offerchange (offer_id, item_id, changed_at)\n    VALUES (NEW.id, NEW.item_id, clock_timestamp())\n    ON CONFLICT (offer_id) DO UPDATE SET item_id = excluded.item_id, changed_at = excluded.changed_at;\n    RETURN NULL;\n', hash='6f08f4b291a6ebf4a8741799dbfcd18385afbd29', operation='INSERT', pgid='pgtrigger_note_new_7697c', table='supply_offer', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='offer',
            trigger=pgtrigger.compiler.Trigger(name='note_change', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."confirmed_at" IS DISTINCT FROM (NEW."confirmed_at") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."is_donation" IS DISTINCT FROM (NEW."is_donation") OR OLD."item_id" IS DISTINCT FROM (NEW."item_id") OR OLD."lead_time_days" IS DISTINCT FROM (NEW."lead_time_days") OR OLD."minimum_order" IS DISTINCT FROM (NEW."minimum_order") OR OLD."organisation_id" IS DISTINCT FROM (NEW."organisation_id") OR OLD."origin_region_id" IS DISTINCT FROM (NEW."origin_region_id") OR OLD."quantity" IS DISTINCT FROM (NEW."quantity") OR OLD."ships_to" IS DISTINCT FROM (NEW."ships_to") OR OLD."standard_id" IS DISTINCT FROM (NEW."standard_id") OR OLD."state" IS DISTINCT FROM (NEW."state") OR OLD."unit_price" IS DISTINCT FROM (NEW."unit_price"))', func='\n    INSERT INTO supply_offerchange (offer_id, item_id, changed_at)\n    VALUES (NEW.id, NEW.item_id, clock_timestamp())\n    ON CONFLICT (offer_id) DO UPDATE SET item_id = excluded.item_id, changed_at = excluded.changed_at;\n    RETURN NULL;\n', hash='dc816d030c498e35b04748e02702bf48548e66f2', operation='UPDATE OF "state", "item_id", "organisation_id", "standard_id", "quantity", "minimum_order", "lead_time_days", "unit_price", "currency", "is_donation", "origin_region_id", "ships_to", "confirmed_at"', pgid='pgtrigger_note_change_ff8ed', table='supply_offer', when='AFTER')),
        ),
        migrations.AddField(
            model_name='offerchange',
            name='item',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='catalogue.item'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='originregion',
            trigger=pgtrigger.compiler.Trigger(name='note_moved_offers', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."latitude" IS DISTINCT FROM (NEW."latitude") OR OLD."longitude" IS DISTINCT FROM (NEW."longitude") OR OLD."path" IS DISTINCT FROM (NEW."path"))', func="\n                    INSERT INTO supply_offerchange (offer_id, item_id, changed_at)\n                    SELECT offer.id, offer.item_id, clock_timestamp() FROM supply_offer offer\n                    WHERE offer.origin_region_id = NEW.code AND offer.state = 'published' ORDER BY offer.id\n                    ON CONFLICT (offer_id) DO UPDATE SET changed_at = excluded.changed_at;\n                    RETURN NULL;\n                ", hash='e29bc371d8c107865e3e3fb4175933aa586c26f9', operation='UPDATE OF "latitude", "longitude", "path"', pgid='pgtrigger_note_moved_offers_d20bc', table='catalogue_region', when='AFTER')),
        ),
        # Whoever keeps copies has none yet.
        migrations.RunSQL(
            "INSERT INTO supply_offerchange (offer_id, item_id, changed_at)"
            " SELECT id, item_id, now() FROM supply_offer WHERE state = 'published'",
            migrations.RunSQL.noop,
        ),
    ]
