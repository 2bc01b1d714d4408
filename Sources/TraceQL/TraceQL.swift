// SPDX-License-Identifier: Apache-2.0
// Front door of TraceQL.

import Telemetry

/// Answers TraceQL searches from whatever keeps spans.
///
/// A search goes in two steps. Conditions of the query that one span decides are handed down to the
/// reader as hints; the spans that come back name candidate traces, and their newest spans order
/// them. Then whole traces are read, newest first, and the pipeline runs on each until enough have
/// answered. So answers are the same each time, and structure, roots and durations are exact.
///
/// The engine keeps no state: one may be shared by all queries.
package struct TraceQLEngine: Sendable {
    let reader: any SpanReading

    package init(reader: any SpanReading) { self.reader = reader }
}
