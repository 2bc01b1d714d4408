// SPDX-License-Identifier: Apache-2.0
// Front door of LogQL.

import Base
import Telemetry

/// Answers LogQL queries from whatever keeps logs.
///
/// A query goes through three hands. `LogQLParser` makes a tree of the text and refuses what is no
/// LogQL, with Loki's texts. The tree's pipelines are compiled into stages that work on borrowed
/// bytes of the reader's batches; matchers, time and plain line filters are handed down to the
/// reader as hints and checked again. Log queries collect the lines that are left; metric queries
/// fold them into windows over time, and vector operations work on whole series.
///
/// The engine keeps no state: one may be shared by all queries.
package struct LogQLEngine: Sendable {
    let reader: any LogReading
    let clock: any Clock

    /// - Parameter clock: what templates call `now`.
    package init(reader: any LogReading, clock: any Clock = SystemClock()) {
        self.reader = reader
        self.clock = clock
    }
}
