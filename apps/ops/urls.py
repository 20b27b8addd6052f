"""Addresses for machines and developers."""

from django.urls import path

from apps.ops import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics_page, name="metrics"),
    path("dev/mail/", views.caught_mails, name="caught_mails"),
    path("dev/mail/<str:name>", views.caught_mail, name="caught_mail"),
]
