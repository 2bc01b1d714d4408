// SPDX-License-Identifier: Apache-2.0
// Senders against destinations that answer as told.

import Base
import Telemetry
import TestKit
import Testing

@testable import Ingest

private let millis: Int64 = 1_800_000_000_000

/// Runs a sender until the destination has been asked what `isDone` wants.
private func forward(
    _ batches: [MetricBatch], to destination: FakeDestination, clock: SkippingClock,
    warnings: Warnings = Warnings(), change: (inout ForwardSettings) -> Void = { _ in },
    until isDone: @escaping (ForwardQueue, ForwardSender) -> Bool = { queue, _ in
        !queue.hasData("a")
    }
) async throws -> ForwardTotals {
    let queue = try forwardQueue(FaultyDisk(), clock: clock, warnings: warnings)
    for (i, batch) in batches.enumerated() { queue.take(batch, sequence: UInt64(i + 1)) }
    var settings = ForwardSettings(name: "a", url: "http://there")
    change(&settings)
    let sender = ForwardSender(
        settings, queue: queue, transport: destination, clock: clock
    ) { warnings.add($0) }
    let task = Task { await sender.run() }
    // A limit for a test that hangs; no test comes near it.
    for _ in 0..<20_000 where !isDone(queue, sender) {
        try await Task.sleep(nanoseconds: 1_000_000)
    }
    sender.stop()
    await task.value
    #expect(isDone(queue, sender))
    queue.stop()
    return sender.status
}

@Suite struct ForwardSenderTests {
    private let batches = (0..<10).map { forwardBatch(100 * $0, 100, millis: millis) }
    private let all = Set((0..<1000).map(Double.init))

    @Test func allArriveInOrderPerSeries() async throws {
        let destination = FakeDestination { _, _ in .taken }
        let totals = try await forward(batches, to: destination, clock: SkippingClock()) {
            $0.samplesPerRequest = 64
        }
        #expect(totals.samples == ForwardCount(sent: 1000))
        #expect(Set(destination.values) == all && destination.values.count == 1000)
        #expect(destination.taken.allSatisfy { $0.pointCount <= 64 })
        var last: [Labels: Int64] = [:]
        for batch in destination.taken {
            for i in batch.sampleSeries.indices {
                let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[i])])
                #expect(batch.sampleMillis[i] > last[labels] ?? 0)
                last[labels] = batch.sampleMillis[i]
            }
        }
        #expect(
            destination.requests[0].headers.map(\.value) == [
                "snappy", "application/x-protobuf", "0.1.0",
            ])
        #expect(totals.highestMillis == millis + 999)
    }

    @Test func failuresAreTriedAgainWithABackOffThatDoubles() async throws {
        let clock = SkippingClock()
        let destination = FakeDestination(clock) { number, _ in
            number < 4 ? ForwardReply(status: 503) : number < 12 ? nil : .taken
        }
        let totals = try await forward([batches[0]], to: destination, clock: clock)
        #expect(totals.samples == ForwardCount(sent: 100, failed: 0, retried: 1200))
        #expect(
            destination.pauses
                == [30, 60, 120, 240, 480, 960, 1920, 3840, 5000, 5000, 5000, 5000])
    }

    @Test func theDestinationMaySayWhen() async throws {
        let clock = SkippingClock()
        let destination = FakeDestination(clock) { number, _ in
            var reply = ForwardReply(status: number < 2 ? 503 : 204)
            if number == 0 { reply.headers = [("retry-after", "17")] }
            if number == 1 { reply.headers = [("Retry-After", "Fri, 15 Jan 2100 08:00:00 GMT")] }
            return reply
        }
        _ = try await forward([batches[0]], to: destination, clock: clock)
        // However far away the date.
        #expect(destination.pauses == [17_000, 300_000])
    }

    @Test func refusalsAreFinalCountedAndTold() async throws {
        let warnings = Warnings()
        let destination = FakeDestination { number, _ in
            number == 0 ? ForwardReply(status: 400) : .taken
        }
        let totals = try await forward(
            [batches[0]], to: destination, clock: SkippingClock(), warnings: warnings
        ) {
            $0.samplesPerRequest = 50; $0.maxShards = 1
        }
        #expect(totals.samples == ForwardCount(sent: 50, failed: 50))
        #expect(warnings.all.contains { $0.contains("refused for good") && $0.contains("400") })
    }

    @Test func tooManyRequestsAreTriedAgainOnlyIfToldSo() async throws {
        for retries in [false, true] {
            let destination = FakeDestination { number, _ in
                number == 0 ? ForwardReply(status: 429) : .taken
            }
            let totals = try await forward(
                [batches[0]], to: destination, clock: SkippingClock()
            ) { $0.retriesTooManyRequests = retries }
            #expect(totals.samples.sent == (retries ? 100 : 0))
            #expect(totals.samples.failed == (retries ? 0 : 100))
        }
    }

    @Test func versionTwoIsSentAndItsAnswersRead() async throws {
        let destination = FakeDestination { number, request in
            .taken(request, missing: number == 0 ? 3 : 0)
        }
        let warnings = Warnings()
        let totals = try await forward(
            [batches[0], batches[1]], to: destination, clock: SkippingClock(), warnings: warnings
        ) {
            $0.version = .two
            $0.samplesPerRequest = 100
            $0.maxShards = 1
        }
        #expect(destination.requests.allSatisfy { $0.isVersion2 })
        #expect(destination.requests[0].headers.last?.value == "2.0.0")
        #expect(totals.samples == ForwardCount(sent: 197, failed: 3))
        #expect(warnings.all.contains { $0.contains("were not written") })
    }

    @Test(arguments: [415, 204, 200]) func versionOneIsTheFallback(_ status: Int) async throws {
        let destination = FakeDestination { _, request in
            request.isVersion2 ? ForwardReply(status: status) : .taken
        }
        let totals = try await forward(batches, to: destination, clock: SkippingClock()) {
            $0.version = .two
            $0.maxShards = 1
        }
        #expect(totals.isFallenBack && totals.samples.sent == 1000 && totals.samples.failed == 0)
        #expect(destination.requests.filter(\.isVersion2).count == 1)
        let arrived = try destination.requests.filter { !$0.isVersion2 }.flatMap {
            try $0.batch().sampleValues
        }
        #expect(Set(arrived) == all && arrived.count == 1000)
    }

    @Test func apartlyWrittenRefusalCountsBoth() async throws {
        let destination = FakeDestination { _, request in
            .taken(request, missing: 10, status: 400)
        }
        let totals = try await forward([batches[0]], to: destination, clock: SkippingClock()) {
            $0.version = .two
        }
        #expect(totals.samples == ForwardCount(sent: 90, failed: 10))
    }

    @Test func labelsAreChangedOnTheWay() async throws {
        var keep = RelabelRule.Definition()
        keep.sourceLabels = ["i"]
        keep.regex = "[0-4]"
        keep.action = "keep"
        var drop = RelabelRule.Definition()
        drop.regex = "i"
        drop.action = "labeldrop"
        var copy = RelabelRule.Definition()
        copy.sourceLabels = ["i", "region"]
        copy.targetLabel = "place"
        let rules = try [keep, copy, drop].map { try RelabelRule($0) }
        let destination = FakeDestination { _, _ in .taken }
        let totals = try await forward(batches, to: destination, clock: SkippingClock()) {
            $0.rules = rules
            $0.externalLabels = [.init("region", "eu"), .init("job", "not this")]
        }
        #expect(totals.samples.sent == 100 && totals.leftOut.byRelabelling == 900)
        #expect(
            destination.labels
                == Set(
                    (0..<5).map {
                        Labels([
                            ("__name__", "m"), ("job", "shop"), ("place", "\($0);eu"),
                            ("region", "eu"),
                        ])
                    }))
    }

    @Test func oldSamplesAreLeftOutAlsoWhileRetrying() async throws {
        let clock = SkippingClock()
        let now = clock.nowMillis
        var batch = MetricBatch()
        let series = batch.addSeries(Labels([("__name__", "m")]))
        for age in [100, 30, 10] {
            batch.addSample(
                series: series, millis: now - Int64(age) * 1000, value: Double(age))
        }
        let destination = FakeDestination { [clock] number, _ in
            if number > 0 { return .taken }
            clock.advance(seconds: 25)
            return nil
        }
        let totals = try await forward([batch], to: destination, clock: clock) {
            $0.sampleAgeLimitSeconds = 50
        }
        #expect(destination.values == [10])
        #expect(totals.leftOut.byAge == 2 && totals.samples.sent == 1)
    }

    @Test func exemplarsHistogramsAndMetadataGoWhereWanted() async throws {
        var batch = forwardBatch(0, 1, millis: millis)
        let labels = Labels([("trace_id", "0af7")])
        labels.bytes.withUnsafeBytes {
            batch.addExemplar(series: 0, millis: millis, value: 1, labels: $0)
        }
        var histogram = NativeHistogram()
        histogram.count = 2
        histogram.positiveSpans = [.init(offset: 0, length: 1)]
        histogram.positiveBuckets = [2]
        batch.addHistogram(
            series: batch.addSeries(Labels([("__name__", "h")])), millis: millis, histogram)
        batch.metadata = [
            .init(
                family: batch.arena.keep("m"), type: .gauge, help: batch.arena.keep("Help."),
                unit: batch.arena.keep(""))
        ]
        for version in [ForwardVersion.one, .two] {
            for isWanted in [true, false] {
                let destination = FakeDestination { _, request in .taken(request) }
                let totals = try await forward(
                    [batch], to: destination, clock: SkippingClock()
                ) {
                    $0.version = version
                    $0.sendsExemplars = isWanted
                    $0.sendsNativeHistograms = isWanted
                    $0.sendsMetadata = isWanted
                }
                let taken = destination.taken
                #expect(taken.reduce(0) { $0 + $1.exemplarSeries.count } == (isWanted ? 1 : 0))
                #expect(taken.reduce(0) { $0 + $1.histogramSeries.count } == (isWanted ? 1 : 0))
                let metadata = taken.flatMap { batch in
                    batch.metadata.filter { $0.type == .gauge }.map { batch.arena.text($0.help) }
                }
                #expect(metadata == (isWanted ? ["Help."] : []))
                #expect(totals.leftOut.histograms == (isWanted ? 0 : 1))
                #expect(totals.samples.sent == 1 && totals.exemplars.sent == (isWanted ? 1 : 0))
            }
        }
    }

    @Test func whatIsUnderWayAtTheEndStaysInTheQueue() async throws {
        let clock = SkippingClock()
        let disk = FaultyDisk()
        let queue = try forwardQueue(disk, clock: clock)
        queue.take(batches[0], sequence: 1)
        let away = FakeDestination { _, _ in ForwardReply(status: 500) }
        let settings = ForwardSettings(name: "a", url: "http://there")
        let sender = ForwardSender(settings, queue: queue, transport: away, clock: clock) { _ in }
        let task = Task { await sender.run() }
        for _ in 0..<20_000 where away.requests.count < 3 {
            try await Task.sleep(nanoseconds: 1_000_000)
        }
        sender.stop()
        await task.value
        queue.stop()
        let next = try forwardQueue(disk, clock: clock)
        #expect(try Set(next.unsent("a")) == Set((0..<100).map(Double.init)))
        let there = FakeDestination { _, _ in .taken }
        let second = ForwardSender(settings, queue: next, transport: there, clock: clock) { _ in }
        let again = Task { await second.run() }
        for _ in 0..<20_000 where next.hasData("a") {
            try await Task.sleep(nanoseconds: 1_000_000)
        }
        second.stop()
        await again.value
        #expect(there.values.count == 100)
        next.stop()
    }
}
