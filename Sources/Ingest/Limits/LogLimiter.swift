// SPDX-License-Identifier: Apache-2.0
// Refusing log lines that come too fast, and streams that are too many.

import Base
import Synchronization
import Telemetry

/// Meters the log lines of tenants that have limits: bytes a second of a tenant and of a stream, and
/// streams with a line in the last hour. Costs nothing for others. A stream is told by the hash of
/// its labels; a restart begins anew.
///
/// Source: grafana/loki `pkg/validation/validate.go` (texts), `pkg/distributor`, `pkg/ingester` (what is
/// metered: lines with their structured metadata).
package final class LogLimiter: Sendable {
    /// A token bucket.
    struct Bucket: Sendable {
        private var tokens: Double
        private var nanos: Int64

        init(full burst: Int, atNanos nanos: Int64) {
            tokens = Double(burst)
            self.nanos = nanos
        }

        /// Takes bytes out when there are as many.
        mutating func take(_ bytes: Int, rate: Int, burst: Int, atNanos now: Int64) -> Bool {
            let passed = Double(max(0, now &- nanos)) / 1e9
            tokens = min(Double(burst), tokens + passed * Double(rate))
            nanos = max(nanos, now)
            guard Double(bytes) <= tokens else { return false }
            tokens -= Double(bytes)
            return true
        }
    }
    private struct Stream: Sendable {
        var bucket: Bucket
        var seenNanos: Int64
    }
    private struct Metered: Sendable {
        var bucket: Bucket
        var streams: [UInt64: Stream] = [:]
        var sweptNanos: Int64
    }

    /// What a batch is refused of.
    struct Verdict: Sendable, Equatable {
        /// Why nothing is taken.
        var all: String?
        /// Why a stream is not, by its index in the batch.
        var streams: [UInt32: String] = [:]
        var isEmpty: Bool { all == nil && streams.isEmpty }
    }

    private let state = Mutex<[String: Metered]>([:])
    /// How long a silent stream counts as active.
    private static let activeNanos: Int64 = 3_600_000_000_000
    /// Streams that are remembered of a tenant, at most: beyond them new ones are not metered.
    private static let maxStreams = 1_000_000

    package init() {}

    /// Decides about a batch, and counts what it takes.
    func check(
        _ batch: LogBatch, _ tenant: Tenant, _ limits: LogTenantLimits, nowNanos now: Int64
    ) -> Verdict {
        guard limits.limitsIngest, batch.rowCount > 0 else { return Verdict() }
        var bytes = [Int](repeating: 0, count: batch.streams.count)
        for row in 0..<batch.rowCount {
            bytes[Int(batch.rowStreams[row])] +=
                Int(batch.lines[row].count) + Int(batch.metadata[row].count)
        }
        let total = bytes.reduce(0, +)
        return state.withLock { state in
            var metered =
                state[tenant.name]
                ?? Metered(
                    bucket: Bucket(full: limits.ingestionBurst, atNanos: now), sweptNanos: now)
            defer { state[tenant.name] = metered }
            if limits.ingestionRateBytes > 0,
                !metered.bucket.take(
                    total, rate: limits.ingestionRateBytes, burst: limits.ingestionBurst,
                    atNanos: now)
            {
                return Verdict(
                    all: "ingestion rate limit exceeded for user \(tenant.name) (limit: "
                        + "\(limits.ingestionRateBytes) bytes/sec) while attempting to ingest "
                        + "'\(batch.rowCount)' lines totaling '\(total)' bytes, reduce log volume "
                        + "or " + Self.contact)
            }
            return Self.checkStreams(batch, bytes, tenant, limits, now, &metered)
        }
    }

    private static let contact =
        "contact your Loki administrator to see if the limit can be increased"

    private static func checkStreams(
        _ batch: LogBatch, _ bytes: [Int], _ tenant: Tenant, _ limits: LogTenantLimits,
        _ now: Int64, _ metered: inout Metered
    ) -> Verdict {
        guard limits.maxStreams > 0 || limits.perStreamRateBytes > 0 else { return Verdict() }
        if now &- metered.sweptNanos > activeNanos / 60 {
            metered.streams = metered.streams.filter { now &- $0.value.seenNanos <= activeNanos }
            metered.sweptNanos = now
        }
        var verdict = Verdict()
        for (index, ref) in batch.streams.enumerated() where bytes[index] > 0 {
            func name() -> String { batch.arena.labels(ref).description }
            var stream: Stream
            if let known = metered.streams[ref.hash] {
                stream = known
            } else {
                let count = metered.streams.count
                if limits.maxStreams > 0, count >= limits.maxStreams {
                    verdict.streams[UInt32(index)] =
                        "maximum active stream limit exceeded when trying to create stream "
                        + "\(name()), reduce the number of active streams (reduce labels or "
                        + "reduce label values), or \(contact), user: '\(tenant.name)'"
                    continue
                }
                guard count < maxStreams else { continue }
                stream = Stream(
                    bucket: Bucket(full: limits.perStreamBurst, atNanos: now), seenNanos: now)
            }
            stream.seenNanos = now
            if limits.perStreamRateBytes > 0,
                !stream.bucket.take(
                    bytes[index], rate: limits.perStreamRateBytes, burst: limits.perStreamBurst,
                    atNanos: now)
            {
                verdict.streams[UInt32(index)] =
                    "Per stream rate limit exceeded (limit: \(limits.perStreamRateBytes)B/sec) while "
                    + "attempting to ingest for stream '\(name())' totaling \(bytes[index])B, "
                    + "consider splitting a stream via additional labels or \(contact)"
            }
            metered.streams[ref.hash] = stream
        }
        return verdict
    }
}

extension LogTenantLimits {
    var limitsIngest: Bool {
        ingestionRateBytes > 0 || perStreamRateBytes > 0 || maxStreams > 0
    }
    /// At least a second's worth.
    var ingestionBurst: Int { max(ingestionBurstBytes, ingestionRateBytes) }
    var perStreamBurst: Int { max(perStreamBurstBytes, perStreamRateBytes) }
}

extension IngestPipeline {
    /// Leaves out the streams of a batch that a limit of the tenant refuses; all when that is it.
    ///
    /// - Parameter numbers: of the batch's rows as they were sent; nil = their own.
    func limit(
        _ batch: inout LogBatch, _ numbers: [Int]?, _ tenant: Tenant,
        _ report: inout LogWriteReport
    ) {
        let limits = limiter.limits(of: tenant).logs
        guard limits.limitsIngest else { return }
        let verdict = logLimiter.check(batch, tenant, limits, nowNanos: nowNanos)
        if verdict.isEmpty { return }
        report.isLimited = true
        for row in 0..<batch.rowCount {
            guard let reason = verdict.all ?? verdict.streams[batch.rowStreams[row]] else {
                continue
            }
            if verdict.all == nil { report.refusals.add(reason) }
            report.refusedRows.append(
                RefusedLogRow(row: numbers?[row] ?? row, reason: reason, isLimited: true))
        }
        if let reason = verdict.all {
            report.refusals.add(reason, count: batch.rowCount)
            batch = LogBatch()
            return
        }
        batch = batch.keepingRows { verdict.streams[batch.rowStreams[$0]] == nil }
    }
}
