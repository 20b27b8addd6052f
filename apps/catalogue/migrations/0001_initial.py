"""Items, units, standards and regions."""

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.text
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from django.contrib.postgres.operations import TrigramExtension


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        TrigramExtension(),
        migrations.CreateModel(
            name='Category',
            fields=[
                ('name_zh', models.CharField(max_length=120, verbose_name='name in Chinese')),
                ('name_en', models.CharField(max_length=120, verbose_name='name in English')),
                ('key', models.SlugField(max_length=40, primary_key=True, serialize=False, verbose_name='key')),
                ('position', models.PositiveSmallIntegerField(default=0, verbose_name='position')),
            ],
            options={
                'verbose_name': 'category',
                'verbose_name_plural': 'categories',
                'ordering': ('position', 'key'),
            },
        ),
        migrations.CreateModel(
            name='Item',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name_zh', models.CharField(max_length=120, verbose_name='name in Chinese')),
                ('name_en', models.CharField(max_length=120, verbose_name='name in English')),
                ('key', models.CharField(help_text='Stable, for programs: mask.surgical', max_length=60, unique=True, verbose_name='key')),
                ('trial_lot', models.PositiveBigIntegerField(help_text='What to offer when the needed quantity is unknown, in base units.', verbose_name='trial lot')),
                ('is_consumable', models.BooleanField(default=True, verbose_name='consumable')),
                ('position', models.PositiveSmallIntegerField(default=0, verbose_name='position')),
                ('codes', models.JSONField(blank=True, default=list, help_text='In other systems: a list of system, version and code.', verbose_name='codes')),
            ],
            options={
                'verbose_name': 'item',
                'verbose_name_plural': 'items',
                'ordering': ('category__position', 'position', 'key'),
            },
        ),
        migrations.CreateModel(
            name='ItemAlias',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('language', models.CharField(choices=[('zh', 'Chinese'), ('en', 'English')], max_length=2, verbose_name='language')),
                ('text', models.CharField(max_length=120, verbose_name='text')),
            ],
            options={
                'verbose_name': 'alias',
                'verbose_name_plural': 'aliases',
                'ordering': ('item', 'language', 'text'),
            },
        ),
        migrations.CreateModel(
            name='ItemStandard',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
            options={
                'verbose_name': 'standard of an item',
                'verbose_name_plural': 'standards of items',
            },
        ),
        migrations.CreateModel(
            name='Pack',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name_zh', models.CharField(max_length=120, verbose_name='name in Chinese')),
                ('name_en', models.CharField(max_length=120, verbose_name='name in English')),
                ('size', models.PositiveIntegerField(help_text='Base units in one pack.', verbose_name='size')),
            ],
            options={
                'verbose_name': 'pack',
                'verbose_name_plural': 'packs',
                'ordering': ('item', 'size'),
            },
        ),
        migrations.CreateModel(
            name='Region',
            fields=[
                ('code', models.CharField(max_length=10, primary_key=True, serialize=False, verbose_name='code')),
                ('name', models.CharField(max_length=120, verbose_name='name')),
                ('name_en', models.CharField(max_length=120, verbose_name='name in English')),
                ('level', models.CharField(choices=[('country', 'country'), ('province', 'province'), ('prefecture', 'prefecture or city'), ('county', 'county or district')], max_length=10, verbose_name='level')),
                ('path', models.CharField(max_length=50, unique=True, verbose_name='path')),
                ('latitude', models.FloatField(blank=True, null=True, verbose_name='latitude')),
                ('longitude', models.FloatField(blank=True, null=True, verbose_name='longitude')),
            ],
            options={
                'verbose_name': 'region',
                'verbose_name_plural': 'regions',
                'ordering': ('path',),
            },
        ),
        migrations.CreateModel(
            name='Revision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('value', models.UUIDField(verbose_name='value')),
            ],
        ),
        migrations.CreateModel(
            name='Satisfaction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
            options={
                'verbose_name': 'satisfaction',
                'verbose_name_plural': 'satisfactions',
            },
        ),
        migrations.CreateModel(
            name='Standard',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=60, unique=True, verbose_name='code')),
                ('title_zh', models.CharField(max_length=200, verbose_name='title in Chinese')),
                ('title_en', models.CharField(max_length=200, verbose_name='title in English')),
                ('jurisdiction', models.CharField(choices=[('CN', 'China'), ('EU', 'European Union'), ('US', 'United States'), ('INT', 'International'), ('KR', 'South Korea'), ('JP', 'Japan'), ('AU', 'Australia and New Zealand')], max_length=3, verbose_name='jurisdiction')),
                ('grade', models.CharField(blank=True, max_length=20, verbose_name='grade')),
                ('attributes', models.JSONField(blank=True, default=dict, verbose_name='attributes')),
                ('valid_from', models.DateField(blank=True, null=True, verbose_name='in force since')),
            ],
            options={
                'verbose_name': 'standard',
                'verbose_name_plural': 'standards',
                'ordering': ('code',),
            },
        ),
        migrations.CreateModel(
            name='Substitution',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('note_zh', models.CharField(blank=True, max_length=200, verbose_name='note in Chinese')),
                ('note_en', models.CharField(blank=True, max_length=200, verbose_name='note in English')),
            ],
            options={
                'verbose_name': 'substitution',
                'verbose_name_plural': 'substitutions',
            },
        ),
        migrations.CreateModel(
            name='Unit',
            fields=[
                ('name_zh', models.CharField(max_length=120, verbose_name='name in Chinese')),
                ('name_en', models.CharField(max_length=120, verbose_name='name in English')),
                ('code', models.CharField(max_length=12, primary_key=True, serialize=False, verbose_name='code')),
                ('symbol', models.CharField(help_text='As shown after a number in every language.', max_length=12, verbose_name='symbol')),
            ],
            options={
                'verbose_name': 'unit',
                'verbose_name_plural': 'units',
                'ordering': ('code',),
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='category',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='9b05d8bb8d42597bfe725f6faef6bfa14667d56d', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_7cce4', table='catalogue_category', when='AFTER')),
        ),
        migrations.AddField(
            model_name='item',
            name='category',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='catalogue.category', verbose_name='category'),
        ),
        migrations.AddField(
            model_name='itemalias',
            name='item',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='aliases', to='catalogue.item', verbose_name='item'),
        ),
        migrations.AddField(
            model_name='itemstandard',
            name='item',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalogue.item', verbose_name='item'),
        ),
        migrations.AddField(
            model_name='pack',
            name='item',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='packs', to='catalogue.item', verbose_name='item'),
        ),
        migrations.AddField(
            model_name='region',
            name='parent',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='catalogue.region', verbose_name='part of'),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.CheckConstraint(condition=models.Q(('pk', 1)), name='catalogue_one_revision'),
        ),
        migrations.AddField(
            model_name='standard',
            name='items',
            field=models.ManyToManyField(related_name='standards', through='catalogue.ItemStandard', to='catalogue.item', verbose_name='items'),
        ),
        migrations.AddField(
            model_name='standard',
            name='succeeded_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='succeeds', to='catalogue.standard', verbose_name='replaced by'),
        ),
        migrations.AddField(
            model_name='satisfaction',
            name='demanded',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='satisfied_by', to='catalogue.standard', verbose_name='demanded'),
        ),
        migrations.AddField(
            model_name='satisfaction',
            name='offered',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='satisfies', to='catalogue.standard', verbose_name='offered'),
        ),
        migrations.AddField(
            model_name='itemstandard',
            name='standard',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalogue.standard', verbose_name='standard'),
        ),
        migrations.AddField(
            model_name='substitution',
            name='demanded',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='substituted_by', to='catalogue.item', verbose_name='demanded'),
        ),
        migrations.AddField(
            model_name='substitution',
            name='offered',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='substitutes_for', to='catalogue.item', verbose_name='offered'),
        ),
        migrations.AddField(
            model_name='item',
            name='unit',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalogue.unit', verbose_name='base unit'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='unit',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='2fc00f43430f1695f19272b7afe6be3d801a3b5c', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_ad7c3', table='catalogue_unit', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='itemalias',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('text'), name='gin_trgm_ops'), fastupdate=False, name='alias_text_trgm'),
        ),
        migrations.AddConstraint(
            model_name='itemalias',
            constraint=models.UniqueConstraint(fields=('item', 'text'), name='catalogue_alias_once_per_item'),
        ),
        migrations.AddConstraint(
            model_name='itemalias',
            constraint=models.CheckConstraint(condition=models.Q(('language__in', ['zh', 'en'])), name='catalogue_alias_language'),
        ),
        migrations.AddConstraint(
            model_name='itemalias',
            constraint=models.CheckConstraint(condition=models.Q(('text', ''), _negated=True), name='catalogue_alias_not_empty'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='itemalias',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='525bf5bdcb0ade3fb0d44b6666040c31e6a23ee2', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_238f4', table='catalogue_itemalias', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='pack',
            constraint=models.UniqueConstraint(fields=('item', 'name_en', 'size'), name='catalogue_pack_once_per_item'),
        ),
        migrations.AddConstraint(
            model_name='pack',
            constraint=models.CheckConstraint(condition=models.Q(('size__gt', 1)), name='catalogue_pack_holds_several'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='pack',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='2be6d066c11413e95a0b94c0d79e9bcecda69bd0', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_c97b8', table='catalogue_pack', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='region',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('name'), name='gin_trgm_ops'), fastupdate=False, name='region_name_trgm'),
        ),
        migrations.AddIndex(
            model_name='region',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('name_en'), name='gin_trgm_ops'), fastupdate=False, name='region_name_en_trgm'),
        ),
        migrations.AddConstraint(
            model_name='region',
            constraint=models.CheckConstraint(condition=models.Q(('level__in', ['country', 'province', 'prefecture', 'county'])), name='catalogue_region_level'),
        ),
        migrations.AddConstraint(
            model_name='region',
            constraint=models.CheckConstraint(condition=models.Q(('path__endswith', django.db.models.functions.text.Concat('code', models.Value('/')))), name='catalogue_region_path_ends_with_code'),
        ),
        migrations.AddConstraint(
            model_name='region',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('latitude__isnull', True), ('longitude__isnull', True)), models.Q(('latitude__range', (-90, 90)), ('longitude__range', (-180, 180))), _connector='OR'), name='catalogue_region_coordinates'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='region',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='f8692a8cf596e95e9534b7f4da37636dbe60534e', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_40547', table='catalogue_region', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='standard',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('code'), name='gin_trgm_ops'), fastupdate=False, name='standard_code_trgm'),
        ),
        migrations.AddIndex(
            model_name='standard',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('title_zh'), name='gin_trgm_ops'), fastupdate=False, name='standard_title_zh_trgm'),
        ),
        migrations.AddIndex(
            model_name='standard',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('title_en'), name='gin_trgm_ops'), fastupdate=False, name='standard_title_en_trgm'),
        ),
        migrations.AddConstraint(
            model_name='standard',
            constraint=models.CheckConstraint(condition=models.Q(('jurisdiction__in', ['CN', 'EU', 'US', 'INT', 'KR', 'JP', 'AU'])), name='catalogue_standard_jurisdiction'),
        ),
        migrations.AddConstraint(
            model_name='standard',
            constraint=models.CheckConstraint(condition=models.Q(('succeeded_by', models.F('pk')), _negated=True), name='catalogue_standard_not_its_own_successor'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='standard',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='c49b3e35aa23ecc2d143008a7495c1ce6e4b7738', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_40f81', table='catalogue_standard', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='satisfaction',
            constraint=models.UniqueConstraint(fields=('demanded', 'offered'), name='catalogue_satisfaction_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='satisfaction',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='3e78e186dbbcbe69830845f7888bc42630e66fef', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_a998e', table='catalogue_satisfaction', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='itemstandard',
            constraint=models.UniqueConstraint(fields=('item', 'standard'), name='catalogue_standard_once_per_item'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='itemstandard',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='7b4a82eb02ebed4cbeb4fe28b514dbfdd4d23f08', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_15054', table='catalogue_itemstandard', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='substitution',
            constraint=models.UniqueConstraint(fields=('demanded', 'offered'), name='catalogue_substitution_once'),
        ),
        migrations.AddConstraint(
            model_name='substitution',
            constraint=models.CheckConstraint(condition=models.Q(('offered', models.F('demanded')), _negated=True), name='catalogue_substitution_of_another'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='substitution',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='e0714ac8820a48dccf74e92f9f1a30c782a510e2', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_5ac04', table='catalogue_substitution', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='item',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('name_zh'), name='gin_trgm_ops'), fastupdate=False, name='item_name_zh_trgm'),
        ),
        migrations.AddIndex(
            model_name='item',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('name_en'), name='gin_trgm_ops'), fastupdate=False, name='item_name_en_trgm'),
        ),
        migrations.AddIndex(
            model_name='item',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('key'), name='gin_trgm_ops'), fastupdate=False, name='item_key_trgm'),
        ),
        migrations.AddConstraint(
            model_name='item',
            constraint=models.CheckConstraint(condition=models.Q(('trial_lot__gt', 0)), name='catalogue_item_trial_lot_positive'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='item',
            trigger=pgtrigger.compiler.Trigger(name='bump_revision', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO catalogue_revision (id, value) VALUES (1, gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET value = excluded.value; RETURN NULL;', hash='433307101f5470c5014390a4832ef2938ccb58ba', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_bump_revision_2ac93', table='catalogue_item', when='AFTER')),
        ),
    ]
