//! Schemas of all wire types, from which the OpenAPI documents are made. Only built with the feature `schema`, by the
//! test that writes `schema/definitions.json`; the product serves the finished documents.

mod scalars;
