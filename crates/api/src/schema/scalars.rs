//! Schemas of the types that read and write themselves: times, amounts, bytes, and numbers that may be names.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::core::Quantity;
use crate::meta::{MicroTime, Time};
use crate::{ByteString, IntOrString};

/// Describes a scalar in the words of OpenAPI.
macro_rules! scalar {
    ($type:ident, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

scalar!(Time, {
    "description": "A point in time in UTC with whole seconds, such as `2016-05-01T12:00:00Z`.",
    "type": "string", "format": "date-time",
});
scalar!(MicroTime, {
    "description": "A point in time in UTC with microseconds, such as `2016-05-01T12:00:00.000001Z`.",
    "type": "string", "format": "date-time",
});
scalar!(Quantity, {
    "description": "An amount with an optional unit: `500m`, `2`, `64Mi`, `1G`. Units that end in `i` are powers of \
                    1024, the others powers of 1000; `m` is a thousandth.",
    "type": "string", "format": "quantity",
});
scalar!(IntOrString, {
    "description": "A number, or a text such as a name or a percentage.",
    "type": "string", "format": "int-or-string", "x-kubernetes-int-or-string": true,
});

/// Not a definition of its own: bytes are a format of text.
impl JsonSchema for ByteString {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteString".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "byte"})
    }
}
