"""Every address under `/api/v1/`."""

from django.urls import URLPattern, URLResolver, path, re_path
from rest_framework.routers import SimpleRouter

from apps.api.resources import (
    catalogue,
    demands,
    description,
    exports,
    imports,
    matches,
    offers,
    orders,
    organisations,
    reports,
    stats,
    tokens,
    webhooks,
)

# With and without the last slash, and no redirect from one to the other: a client would follow it with a GET.
SLASH = "/?"

router = SimpleRouter()
router.trailing_slash = SLASH
router.register("items", catalogue.ItemViewSet, "item")
router.register("standards", catalogue.StandardViewSet, "standard")
router.register("regions", catalogue.RegionViewSet, "region")
router.register("units", catalogue.UnitViewSet, "unit")
router.register("demands", demands.DemandViewSet, "demand")
router.register("offers", offers.OfferViewSet, "offer")
router.register("imports", imports.SheetImportViewSet, "import")
router.register("matches", matches.MatchViewSet, "match")
router.register("orders", orders.OrderViewSet, "order")
router.register("organisations", organisations.OrganisationViewSet, "organisation")
router.register("reports", reports.ReportViewSet, "report")
router.register("tokens", tokens.TokenViewSet, "token")
router.register("webhooks", webhooks.WebhookViewSet, "webhook")

app_name = "api"

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("exports/<str:dataset>", exports.ExportView.as_view(), name="export"),
    # Both forms of the address work, and the description has the one of the contract: the one without the slash.
    path("exports/<str:dataset>/", exports.ExportView.as_view(schema=None)),
    re_path(f"^stats{SLASH}$", stats.StatsView.as_view(), name="stats"),
    re_path(f"^figures{SLASH}$", stats.FiguresView.as_view(), name="figures"),
    re_path(f"^schema{SLASH}$", description.SchemaView.as_view(), name="schema"),
    re_path(f"^docs{SLASH}$", description.DocumentationView.as_view(), name="docs"),
]
