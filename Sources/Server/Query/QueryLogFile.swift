// SPDX-License-Identifier: Apache-2.0
// One line per query that ran.

import Base
import Synchronization
import Telemetry

/// `--query.log-file`: JSON lines that say of each PromQL, LogQL and TraceQL query what it was, how
/// long it took and what it read. Members have the names of Prometheus' query log where it has one.
///
/// Written to the page cache, unsynced. An error never fails a query: it is counted, and the first
/// of a row of them is reported. A file that was moved away or cut, as `logrotate` does, is noticed
/// within a second and begun again.
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

    private struct State {
        var file: (any WritableFile)?
        var offset = 0
        var lookedAtNanos: Int64 = 0
        var failures = 0
        var isFailing = false
    }
    /// Most bytes of a query's text in a line.
    private static let textBytes = 64 << 10
    private static let lookNanos: Int64 = 1_000_000_000

    private let path: String
    private let files: any FileSystem
    private let clock: any Clock
    private let report: @Sendable (String) -> Void
    /// Lines follow each other in the file, so they are written one at a time.
    private let state = Mutex(State())

    package init(
        _ path: String, files: any FileSystem = LocalFileSystem(), clock: any Clock,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.path = path
        self.files = files
        self.clock = clock
        self.report = report
        state.withLock { open(&$0) }
    }

    /// Errors so far.
    package var failures: Int { state.withLock { $0.failures } }

    /// Appends a line. Blocks for a write into the page cache.
    package func add(_ query: QueryDescription, _ outcome: Outcome) {
        let line = line(query, outcome)
        let now = clock.monotonicNanos
        state.withLock { state in
            if state.file == nil || now - state.lookedAtNanos >= Self.lookNanos {
                look(&state, now)
            }
            guard let file = state.file else { return }
            do throws(FileError) {
                try file.write([line], at: state.offset)
                state.offset += line.count
                state.isFailing = false
            } catch { fail(&state, error) }
        }
    }

    /// Opens the file again when it is not the one that was written.
    private func look(_ state: inout State, _ now: Int64) {
        state.lookedAtNanos = now
        do throws(FileError) {
            if state.file != nil, try files.size(path) == state.offset { return }
        } catch { fail(&state, error) }
        open(&state)
    }

    private func open(_ state: inout State) {
        state.file?.close()
        state.file = nil
        do throws(FileError) {
            if let size = try files.size(path) {
                state.file = try files.open(path)
                state.offset = size
            } else {
                state.file = try files.create(path)
                state.offset = 0
            }
        } catch { fail(&state, error) }
    }

    private func fail(_ state: inout State, _ error: FileError) {
        state.failures += 1
        if !state.isFailing { report("queries are not logged: \(error)") }
        state.isFailing = true
        state.file?.close()
        state.file = nil
    }

    private func line(_ query: QueryDescription, _ outcome: Outcome) -> [UInt8] {
        func seconds(_ nanos: Int64) -> String { "\(Double(nanos) / 1e9)" }
        var json = JSONWriter(reserving: 512)
        json.beginObject()
        json.member("time", rfc3339Text(nanos: clock.wallNanos))
        json.member("family", query.family.rawValue)
        json.member("tenant", query.tenant.name)
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
