"""Addresses for developers."""

from django.urls import path

from apps.local import views

urlpatterns = [
    path("dev/mail/", views.caught_mails, name="caught_mails"),
    path("dev/mail/<str:name>", views.caught_mail, name="caught_mail"),
]
