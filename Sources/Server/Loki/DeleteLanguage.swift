// SPDX-License-Identifier: Apache-2.0
// What queries of delete requests mean to the log store.

import Base
import LogQL
import LogStore

/// A selector and, behind it, stages of which those that filter decide about lines.
func deletionLanguage(_ clock: any Clock) -> LogDeletionLanguage {
    { query in
        let selector = try LogQLParser.parseLogQuery(query)
        guard !selector.stages.isEmpty else {
            return LogDeletionRule(matchers: selector.matchers)
        }
        let stages = selector.stages
        // What does not compile is told now.
        _ = try LogSelectorTest(stages, nowNanos: 0)
        return LogDeletionRule(matchers: selector.matchers) {
            LineTest(try LogSelectorTest(stages, nowNanos: clock.wallNanos))
        }
    }
}

private final class LineTest: LogRowTest {
    private let test: LogSelectorTest
    init(_ test: LogSelectorTest) { self.test = test }

    func covers(
        line: UnsafeRawBufferPointer, nanos: Int64, streamLabels: UnsafeRawBufferPointer,
        metadata: UnsafeRawBufferPointer
    ) -> Bool {
        test.keeps(line: line, nanos: nanos, streamLabels: streamLabels, metadata: metadata)
    }
}
