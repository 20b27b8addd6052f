"""For whom somebody works: one's own organisations, or the one that a coordinator takes a call for."""

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Permission, can


def number_or_404(text: str) -> int:
    # `isdigit` alone takes digits of other scripts, and a longer number overflows the key: both would be a 500.
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise Http404


def named_organisation(
    request: HttpRequest, user: User, permission: Permission = Permission.VIEW
) -> Organisation | None:
    """The organisation that the address or the form names, if the user may do `permission` for it; else 404."""
    named = request.GET.get("organisation") or request.POST.get("organisation")
    if not named:
        return None
    visible = Organisation.objects.visible_to(user).select_related("region")
    organisation = get_object_or_404(visible, pk=number_or_404(named))
    # 404 and not 403: whether an organisation exists is nobody else's business.
    if not can(user, permission, organisation):
        raise Http404
    return organisation


def organisation_for(request: HttpRequest, user: User, permission: Permission) -> Organisation | None:
    """For whom `permission` is used: the named organisation, else the default or the first of one's own."""
    named = named_organisation(request, user, permission)
    if named is not None:
        return named
    # Most people act for one organisation. Whoever acts for several names it in the address.
    own = user.organisations_with(permission)
    return (user.default_among(own) or own[0]) if own else None


def suppliers_of(request: HttpRequest, user: User) -> tuple[list[Organisation], Organisation | None]:
    """Whose requests and offers to list: of the named organisation, else of all one's own that can supply."""
    named = named_organisation(request, user)
    if named is not None:
        return [named], named
    return [one for one in user.organisations_with(Permission.VIEW) if one.can_supply], None
