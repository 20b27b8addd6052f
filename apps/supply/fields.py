"""The fields that a supplier fills in, each once. Pure.

The sheet, the API, the exports and the form are made from this table. A new field is a column of the model and a row
here. Types, lengths, labels and help texts are those of the model. Everybody who sees the offer sees all these fields.
`tests/supply/test_fields.py` names each place that lacks a field.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from apps.supply.cells import (
    parse_currency,
    parse_date,
    parse_days,
    parse_flag,
    parse_line,
    parse_list,
    parse_price,
    parse_quantity,
)


@dataclass(frozen=True)
class OfferField:
    """A field of the model `Offer`.

    In a sheet the header of its column is its name or one of `headers`, in either language. `parse` reads its cells.
    """

    name: str
    parse: Callable[[Any], Any]
    headers: tuple[str, ...] = ()
    is_required: bool = False


# In the order of the API and of exports. A new field goes to the end, because partners may read columns by position.
FIELDS: Final = (
    OfferField(
        "item",
        parse_line(120),
        ("item name", "物资", "物资名称", "物品", "物品名称", "品名", "名称", "产品名称"),
        is_required=True,
    ),
    OfferField("standard", parse_line(120), ("标准", "执行标准", "产品标准")),
    OfferField("quantity", parse_quantity, ("数量", "库存", "库存数量", "可供数量"), is_required=True),
    OfferField("daily_capacity", parse_quantity, ("daily capacity", "日产能", "日产量")),
    OfferField("minimum_order", parse_quantity, ("minimum order", "起订量", "最小起订量", "最低起订量")),
    OfferField(
        "lead_time_days", parse_days, ("lead time", "lead time (days)", "交货天数", "交期", "交期(天)", "发货天数")
    ),
    OfferField("unit_price", parse_price, ("unit price", "price", "单价", "价格")),
    OfferField("currency", parse_currency, ("币种", "货币")),
    OfferField("is_donation", parse_flag, ("donation", "捐赠", "是否捐赠")),
    OfferField("origin_region", parse_line(120), ("origin", "ships from", "发货地", "发货地区", "产地", "所在地")),
    OfferField("ships_to", parse_list, ("ships to", "发往", "发往地区", "配送范围", "供货范围")),
    OfferField(
        "certificate_number", parse_line(60), ("certificate number", "证书编号", "注册证号", "备案号", "医疗器械注册证")
    ),
    OfferField("certificate_valid_until", parse_date, ("certificate valid until", "证书有效期", "有效期至")),
    OfferField("note", parse_line(2000), ("备注", "说明")),
)

OFFER_FIELDS: Final = tuple(field.name for field in FIELDS)
