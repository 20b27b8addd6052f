"""Every page, by audience."""

from allauth.account import views as entrance
from django.urls import URLPattern, URLResolver, path

from apps.portal.views import (
    account,
    answers,
    inbox,
    levers,
    needs,
    orders,
    organisation,
    own_data,
    partner,
    people,
    policy,
    posting,
    public,
    reports,
    sheets,
    supply,
    trail,
)
from apps.portal.views.desk import bulk as desk_bulk
from apps.portal.views.desk import calls as desk_calls
from apps.portal.views.desk import duplicates as desk_duplicates
from apps.portal.views.desk import needs as desk_needs
from apps.portal.views.desk import offers as desk_offers
from apps.portal.views.desk import organisations as desk_organisations
from apps.portal.views.desk import queues
from apps.portal.views.desk import reports as desk_reports

everybody = [
    path("", public.board, name="board"),
    path("figures/", public.definitions, name="figures"),
    path("figures/by-province.csv", public.by_province, name="by-province"),
    path("promise/", public.promise, name="promise"),
    path("privacy/", own_data.privacy, name="privacy"),
    path("language/", account.switch_language, name="language"),
    # Under allauth's own names too: reversing takes the pattern that was added last.
    path("login/", entrance.login, name="account_login"),
    path("login/", entrance.login, name="login"),
    path("logout/", entrance.logout, name="account_logout"),
    path("register/", entrance.signup, name="account_signup"),
    path("register/", entrance.signup, name="register"),
    path("account/", account.profile, name="account"),
    path("account/data/", own_data.download, name="own-data"),
    path("account/close/", own_data.close, name="account-close"),
    path("account/tokens/", account.tokens, name="tokens"),
    path("account/tokens/<str:key>/revoke/", account.revoke_token, name="token-revoke"),
    path("notifications/", account.notifications, name="notifications"),
    path("notifications/read/", account.read_all_notifications, name="notifications-read"),
    path("notifications/<int:pk>/", account.read_notification, name="notification"),
]

organisations = [
    path("organisation/new/", organisation.create, name="organisation-new"),
    path("organisation/<int:pk>/", organisation.detail, name="organisation"),
    path("organisation/<int:pk>/edit/", organisation.edit, name="organisation-edit"),
    path("organisation/<int:pk>/submit/", organisation.submit, name="organisation-submit"),
    path("organisation/<int:pk>/evidence/", organisation.upload, name="organisation-upload"),
    path("organisation/<int:pk>/evidence/<int:evidence_pk>/", organisation.evidence, name="organisation-evidence"),
    path("organisation/<int:pk>/members/", people.invite, name="organisation-invite"),
    path("organisation/<int:pk>/members/<int:member_pk>/", people.member, name="organisation-member"),
    path("organisation/<int:pk>/invitations/<int:invitation_pk>/", people.invitation, name="organisation-invitation"),
    path("organisation/<int:pk>/leave/", people.leave, name="organisation-leave"),
    path("invitation/<str:signed>/", people.answer, name="invitation"),
    path("organisation/<int:pk>/webhooks/", organisation.add_webhook, name="webhook-new"),
    path("organisation/<int:pk>/webhooks/<int:endpoint_pk>/test/", organisation.test_webhook, name="webhook-test"),
    path(
        "organisation/<int:pk>/webhooks/<int:endpoint_pk>/resume/", organisation.resume_webhook, name="webhook-resume"
    ),
    path(
        "organisation/<int:pk>/webhooks/<int:endpoint_pk>/remove/", organisation.delete_webhook, name="webhook-remove"
    ),
]

coordinators = [
    path("desk/", queues.desk, name="desk"),
    path("levers/", levers.listed, name="levers"),
    path("levers/<int:pk>/", levers.pull, name="lever"),
    path("desk/search/", queues.search, name="desk-search"),
    path("desk/waiting/<slug:name>/", queues.waiting, name="desk-waiting"),
    path("desk/bulk/", desk_bulk.act, name="desk-bulk"),
    path("desk/verify/", desk_bulk.verify, name="desk-verify-many"),
    path("desk/caller/", desk_organisations.register_caller, name="desk-caller"),
    path("desk/organisations/<int:pk>/", desk_organisations.detail, name="desk-organisation"),
    path("desk/organisations/<int:pk>/contact/", desk_organisations.contact, name="desk-contact"),
    path("desk/organisations/<int:pk>/verify/", desk_organisations.verify, name="desk-verify"),
    path("desk/organisations/<int:pk>/reject/", desk_organisations.reject, name="desk-reject"),
    path("desk/duplicates/new/", desk_duplicates.propose, name="desk-duplicate-new"),
    path("desk/duplicates/<int:pk>/", desk_duplicates.detail, name="desk-duplicate"),
    path("desk/duplicates/<int:pk>/merge/", desk_duplicates.merge, name="desk-merge"),
    path("desk/duplicates/<int:pk>/dismiss/", desk_duplicates.dismiss, name="desk-dismiss"),
    path("desk/merges/<int:pk>/undo/", desk_duplicates.undo, name="desk-merge-undo"),
    path("desk/needs/<int:pk>/", desk_needs.detail, name="desk-need"),
    path("desk/needs/<int:pk>/offers/<int:offer_pk>/call/", desk_calls.call, name="desk-call"),
    path("desk/needs/<int:pk>/offers/<int:offer_pk>/answer/", desk_calls.answer, name="desk-answer"),
    path("desk/needs/<int:pk>/offers/<int:offer_pk>/ask/", desk_calls.ask, name="desk-ask"),
    path("desk/needs/<int:pk>/<slug:step>/", desk_needs.step_in, name="desk-step"),
    path("desk/offers/<int:pk>/", desk_offers.detail, name="desk-offer"),
    path("desk/offers/<int:pk>/<slug:step>/", desk_offers.step_in, name="desk-offer-step"),
    path("desk/reports/<int:pk>/", desk_reports.detail, name="desk-report"),
    path("desk/messages/<int:pk>/retry/", queues.retry, name="desk-retry"),
]

partners = [
    path("partner/", partner.dashboard, name="partner"),
    path("partner/places.csv", partner.places_csv, name="partner-places"),
]

# Who needs and who supplies: names in use by the navigation are needs, supply, inbox, orders.
work: list[URLPattern | URLResolver] = [
    *needs.urlpatterns,
    *posting.urlpatterns,
    *supply.urlpatterns,
    *sheets.urlpatterns,
    *inbox.urlpatterns,
    *orders.urlpatterns,
    *reports.urlpatterns,
    *answers.urlpatterns,
    *policy.urlpatterns,
    *trail.urlpatterns,
]

urlpatterns = [*everybody, *organisations, *coordinators, *partners, *work]
