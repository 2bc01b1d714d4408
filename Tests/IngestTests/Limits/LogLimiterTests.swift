// SPDX-License-Identifier: Apache-2.0
// Rates and streams of logs.

import Base
import Telemetry
import Testing

@testable import Ingest

@Suite struct LogLimiterTests {
    private let second: Int64 = 1_000_000_000
    private let tenant = Tenant("t")

    /// One line of so many bytes in each stream.
    private func batch(_ streams: [(app: String, bytes: Int)]) -> LogBatch {
        var batch = LogBatch()
        for (app, bytes) in streams {
            let stream = batch.addStream(Labels([("app", app)]))
            let start = batch.arena.count
            batch.arena += [UInt8](repeating: 120, count: bytes)
            batch.addRow(
                stream: stream, nanos: 1, line: ByteSlice(offset: start, count: bytes))
        }
        return batch
    }

    @Test func aTenantsRateRefusesThePushAndRecovers() {
        let limiter = LogLimiter()
        var limits = LogTenantLimits()
        limits.ingestionRateBytes = 100
        limits.ingestionBurstBytes = 250
        func check(_ bytes: Int, _ at: Double) -> LogLimiter.Verdict {
            limiter.check(
                batch([("a", bytes)]), tenant, limits, nowNanos: Int64(at * Double(second)))
        }
        #expect(check(250, 1).isEmpty)
        #expect(
            check(10, 1).all
                == "ingestion rate limit exceeded for user t (limit: 100 bytes/sec) while attempting to ingest '1' lines totaling '10' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased"
        )
        #expect(check(90, 2).isEmpty)
        #expect(!check(90, 2.1).isEmpty)
        // A clock that goes back gives nothing.
        #expect(!check(90, 1).isEmpty)
        #expect(check(250, 60).isEmpty && !check(1, 60).isEmpty)
        // Other tenants have their own.
        #expect(
            limiter.check(batch([("a", 250)]), Tenant("u"), limits, nowNanos: 60 * second).isEmpty)
        #expect(
            limiter.check(batch([("a", 999)]), tenant, LogTenantLimits(), nowNanos: 60 * second)
                .isEmpty)
    }

    @Test func streamsHaveRatesAndANumber() {
        let limiter = LogLimiter()
        var limits = LogTenantLimits()
        limits.perStreamRateBytes = 100
        limits.maxStreams = 2
        let verdict = limiter.check(
            batch([("a", 50), ("b", 101), ("c", 1)]), tenant, limits, nowNanos: second)
        #expect(verdict.all == nil && Set(verdict.streams.keys) == [1, 2])
        #expect(
            verdict.streams[1]?.hasPrefix(
                "Per stream rate limit exceeded (limit: 100B/sec) while attempting to ingest for stream '{app=\"b\"}' totaling 101B"
            ) == true)
        #expect(
            verdict.streams[2]?.hasPrefix(
                "maximum active stream limit exceeded when trying to create stream {app=\"c\"}, ")
                == true)
        // Known streams go on; after an hour of silence their place is free.
        #expect(limiter.check(batch([("a", 50)]), tenant, limits, nowNanos: second).isEmpty)
        let later = 3_700 * second
        #expect(limiter.check(batch([("c", 1)]), tenant, limits, nowNanos: later).isEmpty)
    }
}
