"""Addresses for machines."""

from django.urls import path

from apps.ops import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path(".well-known/security.txt", views.security_txt, name="security-txt"),
    path("metrics", views.metrics_page, name="metrics"),
]
