import django.db.models.expressions
import django.db.models.functions.comparison
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes indexes of a large table while others write to it, so it is no transaction."""

    atomic = False

    dependencies = [
        ('notifications', '0006_urgency_and_turn'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(condition=models.Q(('state', 'queued')), fields=['channel', 'urgency', 'turn_at', 'id'], name='message_queue_in_order'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.functions.comparison.Coalesce(models.F('organisation'), django.db.models.expressions.CombinedExpression(models.F('user'), '*', models.Value(-1)), 0), '*', models.Value(4)), '+', models.F('urgency')), models.F('channel'), models.F('turn_at'), condition=models.Q(('state', 'queued')), name='message_last_of_recipient'),
        ),
    ]
