"""Every page, by audience."""

from allauth.account import views as entrance
from django.urls import URLPattern, URLResolver, path

from apps.portal.views import account, answers, inbox, needs, orders, public, supply

everybody = [
    path("", public.board, name="board"),
    path("promise/", public.promise, name="promise"),
    path("language/", account.switch_language, name="language"),
    # Under allauth's own names too: reversing takes the pattern that was added last.
    path("login/", entrance.login, name="account_login"),
    path("login/", entrance.login, name="login"),
    path("logout/", entrance.logout, name="account_logout"),
    path("register/", entrance.signup, name="account_signup"),
    path("register/", entrance.signup, name="register"),
    path("account/", account.profile, name="account"),
    path("notifications/", account.notifications, name="notifications"),
]

# Who needs and who supplies: names in use by the navigation are needs, supply, inbox, orders.
work: list[URLPattern | URLResolver] = [
    *needs.urlpatterns,
    *supply.urlpatterns,
    *inbox.urlpatterns,
    *orders.urlpatterns,
    *answers.urlpatterns,
]

urlpatterns = [*everybody, *work]
