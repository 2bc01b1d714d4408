// SPDX-License-Identifier: Apache-2.0
// Rates over heads and parts.

import Base
import Storage
import Telemetry

extension TraceStore: SpanRateReading {
    package func rates(
        _ request: SpanRateRequest, _ context: ReadContext
    ) throws -> [SpanRate] {
        let snapshot = snapshot()
        snapshot.noteMissing(request.tenant, request.range, context)
        let wanted = WantedRates(request)
        var sum = RateSum()
        for part in snapshot.parts(of: request.tenant)
        where request.range.overlaps(
            first: wanted.beginOfMinute(part.minStart), last: wanted.endOfMinute(part.maxStart))
        {
            try context.check()
            do {
                try part.add(to: &sum, wanted, context)
            } catch let fault as PartCorruption { context.noteMissing(fault) }
        }
        for head in snapshot.heads(of: request.tenant) {
            for segment in head.segments()
            where request.range.overlaps(
                first: wanted.beginOfMinute(segment.minStart),
                last: wanted.endOfMinute(segment.maxStart))
            {
                try context.check()
                sum.add(segment.batch, wanted)
            }
        }
        return sum.rates.values.map { $0.rate }.sorted {
            ($0.key.service, $0.key.name, $0.key.minuteNanos, $0.key.kind, $0.key.status)
                < ($1.key.service, $1.key.name, $1.key.minuteNanos, $1.key.kind, $1.key.status)
        }
    }
}

/// A request in terms of bytes and minutes.
private struct WantedRates {
    private let services: Set<[UInt8]>?
    private let names: Set<[UInt8]>?
    let withExemplars: Bool
    private let firstMinute: Int64
    private let lastMinute: Int64

    init(_ request: SpanRateRequest) {
        services = request.services.map { Set($0.map { Array($0.utf8) }) }
        names = request.names.map { Set($0.map { Array($0.utf8) }) }
        withExemplars = request.wantsExemplars
        firstMinute = RateTable.minute(request.range.first.rawValue)
        lastMinute = RateTable.minute(request.range.last.rawValue)
    }

    func beginOfMinute(_ nanos: Int64) -> Int64 {
        RateTable.minute(nanos).multipliedReportingOverflow(by: RateTable.width).partialValue
    }

    func endOfMinute(_ nanos: Int64) -> Int64 {
        let (end, overflow) = nanos.addingReportingOverflow(RateTable.width)
        return overflow ? .max : end
    }

    func contains(_ service: UnsafeRawBufferPointer, _ name: UnsafeRawBufferPointer) -> Bool {
        (services?.contains([UInt8](service)) ?? true) && (names?.contains([UInt8](name)) ?? true)
    }

    func contains(minute: Int64) -> Bool { firstMinute <= minute && minute <= lastMinute }
}

/// Rates of several sources added up.
private struct RateSum {
    struct Sum {
        var rate: SpanRate
        var slowest: SpanExemplar?
        var other: SpanExemplar?

        mutating func add(slowest candidate: SpanExemplar) {
            if let slowest, slowest.durationNanos >= candidate.durationNanos { return }
            slowest = candidate
        }

        mutating func add(other candidate: SpanExemplar) {
            if let other, RateTable.rank(other.spanID) <= RateTable.rank(candidate.spanID) {
                return
            }
            other = candidate
        }
    }
    private(set) var sums: [SpanRate.Key: Sum] = [:]

    var rates: [SpanRate.Key: Sum] {
        sums.mapValues { sum in
            var sum = sum
            sum.rate.exemplars = [sum.slowest, sum.other].compactMap { $0 }
            if sum.slowest == sum.other, sum.other != nil { sum.rate.exemplars.removeLast() }
            return sum
        }
    }

    mutating func add(
        _ key: SpanRate.Key, _ body: (inout Sum) -> Void
    ) {
        body(&sums[key, default: Sum(rate: SpanRate(key: key, durations: DurationHistogram()))])
    }

    /// Adds rows in memory.
    mutating func add(_ batch: SpanBatch, _ wanted: WantedRates) {
        batch.arena.withUnsafeBytes { all in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: all[slice.range])
            }
            for row in 0..<batch.rowCount {
                let minute = RateTable.minute(batch.startNanos[row])
                let service = batch.resources[Int(batch.rowResources[row])].serviceName
                guard wanted.contains(minute: minute),
                    wanted.contains(bytes(service), bytes(batch.names[row]))
                else { continue }
                let key = SpanRate.Key(
                    service: batch.arena.text(service), name: batch.arena.text(batch.names[row]),
                    kind: batch.kinds[row], status: batch.statusCodes[row],
                    minuteNanos: minute &* RateTable.width)
                let nanos = distance(batch.startNanos[row], batch.endNanos[row])
                let exemplar = SpanExemplar(
                    traceID: batch.traceIDs[row], spanID: batch.spanIDs[row],
                    startNanos: batch.startNanos[row], durationNanos: nanos)
                add(key) { sum in
                    sum.rate.durations.add(nanos: nanos)
                    guard wanted.withExemplars else { return }
                    sum.add(slowest: exemplar)
                    sum.add(other: exemplar)
                }
            }
        }
    }
}

extension StoredPart {
    /// Adds the part's rates; spans are looked up only for exemplars, and only their ids and times.
    fileprivate func add(
        to sum: inout RateSum, _ wanted: WantedRates, _ context: ReadContext
    ) throws {
        var entries: [(key: SpanRate.Key, entry: RateEntry)] = []
        try forEachRate({ wanted.contains($0, $1) }) { service, name, entry in
            guard wanted.contains(minute: entry.minute) else { return }
            let key = SpanRate.Key(
                service: String(decoding: service, as: UTF8.self),
                name: String(decoding: name, as: UTF8.self), kind: entry.kind,
                status: entry.status, minuteNanos: entry.minute &* RateTable.width)
            entries.append((key, entry))
        }
        for (key, entry) in entries {
            sum.add(key) { $0.rate.durations.merge(entry.durations) }
        }
        guard wanted.withExemplars else { return }
        let found = try opened().exemplars(
            Set(entries.flatMap { [$0.entry.slowest, $0.entry.other] }))
        try context.count(samples: found.count, bytes: 0)
        for (key, entry) in entries {
            sum.add(key) { sum in
                if let span = found[entry.slowest] { sum.add(slowest: span) }
                if let span = found[entry.other] { sum.add(other: span) }
            }
        }
    }

}

extension TracePart {
    /// Ids and times of rows.
    fileprivate func exemplars(_ rows: Set<Int>) throws -> [Int: SpanExemplar] {
        var found: [Int: SpanExemplar] = [:]
        var remaining = rows.sorted()[...]
        while let first = remaining.first {
            guard let number = directory.block(ofRow: first) else { break }
            let entry = directory.blocks[number]
            let inside = remaining.prefix { $0 < entry.firstRow + entry.rowCount }
            remaining = remaining.dropFirst(inside.count)
            var block = SpanBlock(self, entry)
            let starts = try block.starts(), durations = try block.durations()
            let places = inside.map { $0 - entry.firstRow }
            let ids = try block.identities(places)
            for (index, row) in inside.enumerated() {
                let start = starts[places[index]]
                found[row] = SpanExemplar(
                    traceID: ids.traces[index], spanID: ids.spans[index], startNanos: start,
                    durationNanos: distance(start, start &+ durations[places[index]]))
            }
        }
        return found
    }
}
