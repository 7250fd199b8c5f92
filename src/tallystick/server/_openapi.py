"""The OpenAPI document: the routes that the front door answers itself, keys, and problems everywhere."""

from __future__ import annotations

from typing import Any, Final

from tallystick.apps.fraud.deciding import ACTIONS
from tallystick.apps.fraud.payments import CHANNELS, ISO_JSON, ISO_XML

from ._front import DECIDE, DECIDE_BATCH
from ._roles import OPEN, roles_for
from ._settings import ServerSettings

__all__ = ["add_decisions", "describe"]

_ID: Final = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]([ -~]*[!-~])?$"}
_OPTIONAL_ID: Final = {"type": "string", "maxLength": 128, "pattern": "^([!-~]([ -~]*[!-~])?)?$"}
SCHEMAS: Final[dict[str, Any]] = {
    "Payment": {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "at", "amount", "currency", "customer", "payee"],
        "properties": {
            "id": {**_ID, "description": "idempotency key: the same payment again gets the same decision"},
            "at": {
                "description": "when it was initiated: microseconds since 1970, or ISO 8601",
                "anyOf": [
                    {"type": "integer", "minimum": 10**14, "maximum": 4_102_444_799_999_999},
                    {"type": "string", "format": "date-time"},
                ],
            },
            "amount": {
                "type": "integer",
                "minimum": 1,
                "maximum": 10**12,
                "description": "minor units: 1250 is 12.50",
            },
            "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217"},
            "customer": {**_ID, "description": "who pays"},
            "payee": {**_ID, "description": "who is paid"},
            "channel": {"type": "string", "enum": list(CHANNELS), "default": "card"},
            "card": _OPTIONAL_ID,
            "terminal": _OPTIONAL_ID,
            "device": _OPTIONAL_ID,
        },
    },
    "Decision": {
        "type": "object",
        "required": ["action", "payment", "reasons", "statement", "status"],
        "properties": {
            "action": {"type": "string", "enum": list(ACTIONS)},
            "decided_at": {"type": "integer", "description": "microseconds, as stated"},
            "latency_us": {"type": "integer"},
            "model": {"type": ["string", "null"], "description": "hash; null where rules decided alone"},
            "payment": {"type": "string"},
            "probability": {"type": ["number", "null"]},
            "reasons": {
                "type": "array",
                "maxItems": 4,
                "items": {
                    "type": "object",
                    "properties": {"code": {"type": "string"}, "text": {"type": "string"}},
                },
            },
            "repeat": {"type": "boolean", "description": "it was decided before; this is that decision"},
            "rules": {"type": "array", "items": {"type": "string"}},
            "score": {"type": ["integer", "null"]},
            "statement": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "status": {"type": "string", "description": "of pacs.002: ACCP, PDNG, RJCT"},
            "status_reason": {"type": ["string", "null"]},
        },
    },
    "Decisions": {
        "type": "object",
        "required": ["decisions"],
        "properties": {
            "decisions": {
                "type": "array",
                "items": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/Decision"},
                        {"type": "object", "properties": {"error": {"$ref": "#/components/schemas/Problem"}}},
                    ]
                },
            },
            "message": {"type": "string"},
        },
    },
    "Problem": {
        "type": "object",
        "required": ["code", "detail", "status", "title", "type"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string", "description": "stable"},
            "detail": {"type": "string"},
            "hint": {"type": "string", "description": "what to do now"},
            "retryable": {"type": "boolean"},
            "request": {"type": "string"},
        },
    },
}


def add_decisions(document: dict[str, Any], settings: ServerSettings) -> dict[str, Any]:
    """Add the two routes that never reach the framework."""
    payment = {"$ref": "#/components/schemas/Payment"}
    iso = {"type": "object", "description": "pain.001 or pacs.008, the same names as in XML"}
    xml = {"type": "string", "description": "pain.001 or pacs.008"}
    content: dict[str, Any] = {"application/json": {"schema": payment}, ISO_JSON[0]: {"schema": iso}}
    content.update({kind: {"schema": xml} for kind in ISO_XML[:1]})
    answer: dict[str, Any] = {
        "application/json": {"schema": {"anyOf": [_ref("Decision"), _ref("Decisions")]}},
        "application/xml": {"schema": {"type": "string", "description": "pacs.002, where it is asked for"}},
        ISO_JSON[0]: {"schema": {"type": "object", "description": "pacs.002, where it is asked for"}},
    }
    document.setdefault("paths", {})[DECIDE] = _post(
        "Decide a payment, or every payment of a message. The answer leaves when its statement is durable.",
        "decide",
        content,
        answer,
    )
    batch = {
        "type": "object",
        "additionalProperties": False,
        "required": ["payments"],
        "properties": {
            "payments": {"type": "array", "minItems": 1, "maxItems": settings.max_batch, "items": payment}
        },
    }
    document["paths"][DECIDE_BATCH] = _post(
        "Decide several payments at once; a payment that conflicts with an earlier one gets its error in its place.",
        "decide_batch",
        {"application/json": {"schema": batch}},
        {"application/json": {"schema": _ref("Decisions")}},
    )
    return document


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """Add keys, roles and problems to every route, and our schemas."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.update(SCHEMAS)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "tsk_…"}}
    problems = {
        "description": "an error",
        "content": {"application/problem+json": {"schema": _ref("Problem")}},
    }
    for path, verbs in document["paths"].items():
        for verb, route in verbs.items():
            route["responses"].pop("422", None)
            route["responses"]["4XX"] = problems
            route["responses"]["503"] = problems
            if path not in OPEN:
                route["security"] = [{"key": []}]
                route["x-roles"] = sorted(roles_for(verb.upper(), path))
    return document


def _post(summary: str, name: str, content: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "post": {
            "tags": ["payments"],
            "summary": summary,
            "operationId": name,
            "requestBody": {"required": True, "content": content},
            "responses": {"200": {"description": "decided", "content": answer}},
        }
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
