import django.db.models.deletion
from django.db import migrations, models

from apps.core.sql import install

DROP_OLD = """
DROP TRIGGER matching_listed_elsewhere ON catalogue_region;
DROP TRIGGER matching_listed_gone ON supply_offer;
DROP TRIGGER matching_listed_changed ON supply_offer;
DROP TRIGGER matching_listed_in_another_currency ON supply_offer;
DROP TRIGGER matching_listed_new ON supply_offer;
DROP FUNCTION matching_list_region();
DROP FUNCTION matching_list_offer();
DROP VIEW matching_listable;
DROP FUNCTION matching_areas(varchar[]);
DROP FUNCTION matching_best;
DROP FUNCTION matching_steady;
DROP TYPE matching_asked;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('catalogue', '0003_search_without_pending_list'),
        ('matching', '0080_install_sql'),
        ('supply', '0090_note_changes'),
    ]

    operations = [
        migrations.RunSQL(DROP_OLD),
        migrations.RemoveField(
            model_name='listing',
            name='cell',
        ),
        migrations.RemoveField(
            model_name='listing',
            name='item',
        ),
        migrations.RemoveField(
            model_name='listing',
            name='offer',
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
        migrations.DeleteModel(
            name='Cell',
        ),
        migrations.DeleteModel(
            name='Listing',
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
        install("matching", "search/sql/matching_search.sql", "search/sql/matching_best.sql"),
    ]
