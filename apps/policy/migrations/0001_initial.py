"""Versions of the policy, and drafts of one."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Policy',
            fields=[
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('version', models.PositiveIntegerField(primary_key=True, serialize=False, verbose_name='version')),
                ('settings', models.JSONField(default=dict, verbose_name='settings')),
                ('note', models.CharField(blank=True, max_length=500, verbose_name='why')),
                ('made_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='by')),
            ],
            options={
                'verbose_name': 'policy',
                'verbose_name_plural': 'policies',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='PolicyDraft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('based_on', models.PositiveIntegerField(verbose_name='based on version')),
                ('settings', models.JSONField(verbose_name='settings')),
                ('state', models.CharField(choices=[('open', 'Draft'), ('in_force', 'Put into force'), ('discarded', 'Discarded')], default='open', max_length=10, verbose_name='state')),
                ('became', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='draft', to='policy.policy', verbose_name='version')),
                ('made_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='by')),
            ],
            options={
                'verbose_name': 'draft of a policy',
                'verbose_name_plural': 'drafts of a policy',
                'abstract': False,
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policy',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='c2b76403961f6fc4bf2877a62ef97e880b57c2f7', operation='UPDATE', pgid='pgtrigger_keep_updated_at_adf6e', table='policy_policy', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='policydraft',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['-id'], name='policy_draft_open'),
        ),
        migrations.AddConstraint(
            model_name='policydraft',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['open', 'in_force', 'discarded'])), name='policy_draft_state_known'),
        ),
        migrations.AddConstraint(
            model_name='policydraft',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('became__isnull', False), ('state', 'in_force')), models.Q(models.Q(('state', 'in_force'), _negated=True), ('became', None)), _connector='OR'), name='policy_draft_in_force_is_a_version'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policydraft',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='47d9f855b8d5b6114ac969105d6e742d3e6b4683', operation='UPDATE', pgid='pgtrigger_keep_updated_at_8889c', table='policy_policydraft', when='BEFORE')),
        ),
    ]
