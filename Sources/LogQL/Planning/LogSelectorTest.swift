// SPDX-License-Identifier: Apache-2.0
// Asks of single lines whether a log query keeps them.

import Base
import Telemetry

/// The stages of a log query as a condition on lines of streams that match its selector already.
/// Belongs to one thread.
package final class LogSelectorTest {
    private let pipeline: Pipeline

    /// - Throws: what is wrong with a stage.
    package init(_ stages: [StageSyntax], nowNanos: Int64) throws {
        pipeline = try Pipeline(stages, nowNanos: nowNanos)
    }

    /// - Parameters:
    ///   - streamLabels: canonical.
    ///   - metadata: canonical.
    package func keeps(
        line: UnsafeRawBufferPointer, nanos: Int64, streamLabels: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer
    ) -> Bool {
        pipeline.state.begin(
            line: line, nanos: nanos, streamLabels: streamLabels, metadata: metadata)
        return pipeline.keeps()
    }
}
