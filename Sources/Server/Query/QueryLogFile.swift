// SPDX-License-Identifier: Apache-2.0
// One line per query that ran.

import Base
import Telemetry

/// `--query.log-file`: JSON lines that say of each PromQL, LogQL and TraceQL query what it was, how
/// long it took and what it read. Members have the names of Prometheus' query log where it has one.
///
/// An error never fails a query: it is counted, and the first of a row of them is reported.
package final class QueryLogFile: Sendable {
    /// How a query ended.
    package struct Outcome: Sendable {
        package var nanos: Int64
        /// Of `nanos`, those in which the query waited for a place.
        package var queueNanos: Int64
        package var samples: Int
        package var bytes: Int
        package var peakBytes: Int
        /// Nil when it succeeded.
        package var error: String?

        package init(_ context: ReadContext, queueNanos: Int64, error: String? = nil) {
            nanos = context.elapsedNanos
            self.queueNanos = queueNanos
            samples = context.samplesRead
            bytes = context.bytesRead
            peakBytes = context.peakBytes
            self.error = error
        }
    }

    /// Most bytes of a query's text in a line.
    private static let textBytes = 64 << 10

    private let clock: any Clock
    private let file: LineFile

    package init(
        _ path: String, files: any FileSystem = LocalFileSystem(), clock: any Clock,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.clock = clock
        file = LineFile(path, files: files, clock: clock) {
            report("queries are not logged: \($0)")
        }
    }

    /// Errors so far.
    package var failures: Int { file.failures }

    /// Appends a line. Blocks for a write into the page cache.
    package func add(_ query: QueryDescription, _ outcome: Outcome) {
        file.append(line(query, outcome))
    }

    private func line(_ query: QueryDescription, _ outcome: Outcome) -> [UInt8] {
        func seconds(_ nanos: Int64) -> String { "\(Double(nanos) / 1e9)" }
        var json = JSONWriter(reserving: 512)
        json.beginObject()
        json.member("time", rfc3339Text(nanos: clock.wallNanos))
        json.member("family", query.family.rawValue)
        json.member("tenant", query.tenant.name)
        if let tags = query.tags { json.member("tags", tags) }
        json.key("params")
        json.beginObject()
        json.member("query", ActiveQueryLog.shortened(query.text, Self.textBytes))
        for (name, value) in [
            ("start", query.start), ("end", query.end), ("step", query.step),
        ] {
            if let value { json.member(name, value) }
        }
        json.endObject()
        json.key("stats")
        json.beginObject()
        json.key("timings")
        json.beginObject()
        json.key("execTotalTime")
        json.raw(seconds(outcome.nanos))
        json.key("execQueueTime")
        json.raw(seconds(outcome.queueNanos))
        json.endObject()
        json.key("samples")
        json.beginObject()
        json.member("totalQueryableSamples", outcome.samples)
        json.endObject()
        json.member("bytesRead", outcome.bytes)
        json.member("peakBytes", outcome.peakBytes)
        json.endObject()
        json.member("status", outcome.error == nil ? "success" : "error")
        if let error = outcome.error { json.member("error", error) }
        json.key("httpRequest")
        json.beginObject()
        json.member("method", query.method)
        json.member("path", query.path)
        json.endObject()
        json.endObject()
        return json.bytes + [UInt8(ascii: "\n")]
    }
}
