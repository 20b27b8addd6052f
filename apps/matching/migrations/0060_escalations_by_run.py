from django.db import migrations, models
from django.db.models import Exists, OuterRef, Subquery
from django.db.models.functions import Coalesce


def say_since(apps, schema_editor):
    """What was put before somebody so far belongs to the first run of the clock of its need, which is the present one."""
    Demand = apps.get_model('demands', 'Demand')
    Escalation = apps.get_model('matching', 'Escalation')
    silent = Demand.objects.filter(escalating_since=None, pk__in=Escalation.objects.values('demand'))
    silent.update(escalating_since=Coalesce('review_requested_at', 'opened_at', 'created_at'))
    since = Demand.objects.filter(pk=OuterRef('demand')).values('escalating_since')
    Escalation.objects.update(since=Subquery(since))


def keep_the_newest(apps, schema_editor):
    """Backwards: what was put before somebody counts once, however often the clock has run."""
    Escalation = apps.get_model('matching', 'Escalation')
    later = Escalation.objects.filter(
        demand=OuterRef('demand'), organisation=OuterRef('organisation'), for_approval=OuterRef('for_approval'),
        pk__gt=OuterRef('pk'),
    )
    Escalation.objects.filter(Exists(later)).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('matching', '0050_commit_holds'),
        ('demands', '0060_escalating_since'),
    ]

    operations = [
        migrations.AddField(
            model_name='escalation', name='since', field=models.DateTimeField(editable=False, null=True)
        ),
        migrations.RunPython(say_since, migrations.RunPython.noop),
        migrations.AlterField(model_name='escalation', name='since', field=models.DateTimeField(editable=False)),
        migrations.RemoveConstraint(model_name='escalation', name='escalation_once'),
        migrations.RunPython(migrations.RunPython.noop, keep_the_newest),
        migrations.AddConstraint(
            model_name='escalation',
            constraint=models.UniqueConstraint(
                fields=('demand', 'organisation', 'for_approval', 'since'), name='escalation_once'
            ),
        ),
    ]
