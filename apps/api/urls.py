"""Every address under `/api/v1/`."""

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from apps.api.resources import (
    catalogue,
    demands,
    description,
    exports,
    matches,
    offers,
    orders,
    organisations,
    stats,
    tokens,
    webhooks,
)

router = SimpleRouter()
router.register("items", catalogue.ItemViewSet, "item")
router.register("standards", catalogue.StandardViewSet, "standard")
router.register("regions", catalogue.RegionViewSet, "region")
router.register("units", catalogue.UnitViewSet, "unit")
router.register("demands", demands.DemandViewSet, "demand")
router.register("offers", offers.OfferViewSet, "offer")
router.register("matches", matches.MatchViewSet, "match")
router.register("orders", orders.OrderViewSet, "order")
router.register("organisations", organisations.OrganisationViewSet, "organisation")
router.register("tokens", tokens.TokenViewSet, "token")
router.register("webhooks", webhooks.WebhookViewSet, "webhook")

app_name = "api"

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("exports/<str:dataset>", exports.ExportView.as_view(), name="export"),
    # Both forms of the address work, and the description has one of them.
    path("exports/<str:dataset>/", exports.ExportView.as_view(schema=None)),
    path("stats/", stats.StatsView.as_view(), name="stats"),
    path("schema/", description.SchemaView.as_view(permission_classes=[], authentication_classes=[]), name="schema"),
    path(
        "docs/",
        # A template of ours: the package's own has a style block, which the security policy forbids.
        SpectacularSwaggerSplitView.as_view(
            permission_classes=[], authentication_classes=[], url_name="api:schema", template_name="api/docs.html"
        ),
        name="docs",
    ),
]
