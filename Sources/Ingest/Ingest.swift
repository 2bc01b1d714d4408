// SPDX-License-Identifier: Apache-2.0
// Front door of Ingest.

/// Ingest is the way in: every batch of every door goes through `IngestPipeline`.
///
/// decode (Wire) → **admit** → commit (one log record, fsynced) → **append** to store and index.
/// Admission applies limits and identity; a batch of one request is one log record, so data and
/// correlation index commit together. Ingest never parses bytes and never answers queries.
///
/// What comes as increments or observations is added up before (`Aggregation`); what jobs push is
/// kept to be written again (`Pushing`). Spans are counted as they are committed (`SpanMetrics`).
package enum Ingest {}
