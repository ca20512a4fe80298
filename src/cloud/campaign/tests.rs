//! Tests of the campaign controller.
