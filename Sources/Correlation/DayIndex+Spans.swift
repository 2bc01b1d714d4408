// SPDX-License-Identifier: Apache-2.0
// Learning from spans.

import Base
import Storage
import Telemetry

extension HeadIndex {
    /// Spans are added up by service and five minutes first, so that the index is asked once for each
    /// such group and not for each span.
    mutating func record(_ batch: SpanBatch, _ limits: CorrelationConfiguration) {
        guard batch.rowCount > 0 else { return }
        let resources = batch.resources.map { ResourceFacts($0, batch.arena) }
        for group in SpanGroup.groups(of: batch, resources) {
            with(group.firstNanos) { day in
                day.withService(group.service, limits) { service, bytes in
                    for (resource, nanos) in group.resources {
                        resources[resource].teach(&service, nanos, limits.maxSetEntries)
                    }
                    service.see(group.firstNanos)
                    service.see(group.lastNanos)
                    let number = ServiceBucket.number(group.firstNanos)
                    var bucket = service.buckets.removeValue(forKey: number) ?? ServiceBucket()
                    let before = bucket.operations.count * 160 + bucket.picks.traces.count * 64
                    group.add(to: &bucket, batch.arena, limits.maxOperations)
                    bytes += max(
                        0,
                        bucket.operations.count * 160 + bucket.picks.traces.count * 64 - before)
                    service.buckets[number] = bucket
                }
                day.see(group.lastNanos)
            }
        }
        var row = 0
        while row < batch.rowCount {
            let number = utcDay(ofNanos: batch.startNanos[row])
            let start = row
            while row < batch.rowCount, utcDay(ofNanos: batch.startNanos[row]) == number {
                row += 1
            }
            with(batch.startNanos[start]) { $0.addCalls(batch, start..<row, limits) }
        }
    }
}

/// Spans of one service in one bucket.
private struct SpanGroup {
    struct Operation {
        var name: ByteSlice
        var kind: UInt8
        /// Buckets of `DurationHistogram`, one per span.
        var durations: [UInt16] = []
        var errors: UInt64 = 0

        mutating func count(_ nanos: Int64, _ isError: Bool) {
            durations.append(DurationHistogram.index(nanos))
            if isError { errors += 1 }
        }
    }
    var service: String
    /// First start by resource.
    var resources: [Int: Int64] = [:]
    var firstNanos = Int64.max
    var lastNanos = Int64.min
    private var operations: [UInt64: [Operation]] = [:]
    private var picks: [TraceID: TracePick] = [:]

    private struct Key: Hashable {
        var service: Int
        var bucket: Int64
    }

    init(service: String) { self.service = service }

    /// In order of appearance.
    static func groups(of batch: SpanBatch, _ resources: [ResourceFacts]) -> [SpanGroup] {
        var serviceNumbers: [String: Int] = [:]
        let services = resources.map { facts in
            let number = serviceNumbers[facts.service] ?? serviceNumbers.count
            serviceNumbers[facts.service] = number
            return number
        }
        var groups: [SpanGroup] = []
        var numbers: [Key: Int] = [:]
        var last: (key: Key, group: Int)?
        batch.arena.withUnsafeBytes { arena in
            for row in 0..<batch.rowCount {
                let resource = Int(batch.rowResources[row])
                let key = Key(
                    service: services[resource],
                    bucket: ServiceBucket.number(batch.startNanos[row]))
                let group: Int
                if let last, last.key == key {
                    group = last.group
                } else if let known = numbers[key] {
                    group = known
                } else {
                    group = groups.count
                    numbers[key] = group
                    groups.append(SpanGroup(service: resources[resource].service))
                }
                last = (key, group)
                groups[group].add(batch, row, arena)
                let start = batch.startNanos[row]
                groups[group].resources[resource] = min(
                    groups[group].resources[resource] ?? start, start)
            }
        }
        return groups
    }

    private mutating func add(_ batch: SpanBatch, _ row: Int, _ arena: UnsafeRawBufferPointer) {
        let nanos = batch.startNanos[row]
        firstNanos = min(firstNanos, nanos)
        lastNanos = max(lastNanos, nanos)
        let duration = batch.duration(row), isError = batch.statusCodes[row] == 2
        func text(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: arena[slice.range])
        }
        let name = text(batch.names[row]), kind = batch.kinds[row]
        let hash = hash64(name, seed: UInt64(kind))
        let place = operations[hash, default: []].firstIndex {
            $0.kind == kind && equalBytes(text($0.name), name)
        }
        if let place {
            operations[hash]?[place].count(duration, isError)
        } else {
            var operation = Operation(name: batch.names[row], kind: kind)
            operation.count(duration, isError)
            operations[hash, default: []].append(operation)
        }
        let pick = TracePick(startNanos: nanos, durationNanos: duration, isError: isError)
        if picks[batch.traceIDs[row]]?.merge(pick) == nil { picks[batch.traceIDs[row]] = pick }
    }

    func add(to bucket: inout ServiceBucket, _ arena: [UInt8], _ maxOperations: Int) {
        let named = operations.values.joined().map { operation in
            (OperationKey(name: arena.text(operation.name), kind: operation.kind), operation)
        }
        // Sorted, so that which operations share `(other)` does not depend on hashing.
        for (key, operation) in named.sorted(by: { $0.0 < $1.0 }) {
            let admitted = bucket.admitted(key, maxOperations)
            bucket.operations[admitted, default: OperationCounts()].add(
                operation.durations, errors: operation.errors)
        }
        for (id, pick) in picks.sorted(by: { $0.key < $1.key }) { bucket.picks.add(id, pick) }
    }
}

extension OperationCounts {
    /// - Parameter buckets: of `DurationHistogram`, one per span.
    fileprivate mutating func add(_ buckets: [UInt16], errors: UInt64) {
        count &+= UInt64(buckets.count)
        errorCount &+= errors
        for bucket in buckets { durations.add(index: bucket, count: 1) }
    }
}

extension SpanBatch {
    /// Not below 0; 0 when it is beyond 64 bits.
    fileprivate func duration(_ row: Int) -> Int64 {
        let (difference, overflow) = endNanos[row].subtractingReportingOverflow(startNanos[row])
        return overflow ? 0 : max(0, difference)
    }
}

extension DayIndex {
    fileprivate mutating func addCalls(
        _ batch: SpanBatch, _ rows: Range<Int>, _ limits: CorrelationConfiguration
    ) {
        batch.arena.withUnsafeBytes { arena in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: arena[slice.range])
            }
            // Numbers of the services of this batch, found when needed.
            var services = [UInt32?](repeating: nil, count: batch.resources.count)
            for row in rows {
                let kind = batch.kinds[row]
                let isCaller = kind == 3 || kind == 4
                guard isCaller || (kind == 2 || kind == 5) && !batch.parentIDs[row].isZero else {
                    continue
                }
                guard calls.count < limits.maxCallSpans else {
                    dropped += 1
                    continue
                }
                let resource = Int(batch.rowResources[row])
                let service = services[resource] ?? serviceNumber(batch.resources[resource], arena)
                services[resource] = service
                var call = CallRow(
                    traceID: batch.traceIDs[row], spanID: batch.spanIDs[row],
                    startNanos: batch.startNanos[row], durationNanos: batch.duration(row),
                    service: service)
                if batch.statusCodes[row] == 2 { call.flags |= CallRow.error }
                if isCaller {
                    let peer = PeerName(in: bytes(batch.attributes[row]))
                    call.peer = calls.number(peer.text)
                    if peer.isDatabase { call.flags |= CallRow.database }
                    if kind == 4 { call.flags |= CallRow.producer }
                } else {
                    call.flags |= CallRow.callee
                    call.parentID = batch.parentIDs[row]
                }
                calls.add(call)
                byteCount += MemoryLayout<CallRow>.stride
            }
        }
    }

    private mutating func serviceNumber(
        _ resource: SpanBatch.Resource, _ arena: UnsafeRawBufferPointer
    ) -> UInt32 {
        if !resource.serviceName.isEmpty {
            return calls.number(
                UnsafeRawBufferPointer(rebasing: arena[resource.serviceName.range]))
        }
        return Array(ServiceIdentity.unknown.utf8).withUnsafeBytes { calls.number($0) }
    }
}

/// The other side's name in a caller's attributes.
private struct PeerName {
    private(set) var text = UnsafeRawBufferPointer(start: nil, count: 0)
    private(set) var isDatabase = false
    private static let names: [StaticString] = [
        "peer.service", "server.address", "db.system.name", "db.system", "messaging.system",
    ]

    /// The first by the order of `names` that is a string.
    init(in attributes: UnsafeRawBufferPointer) {
        var best = PeerName.names.count
        var reader = ByteReader(attributes)
        // Batches are checked when decoded; what could be read before a fault still counts.
        while !reader.isAtEnd, let key = try? reader.lengthPrefixed() {
            if key.count > 3, key[0] == UInt8(ascii: "d"), key[1] == UInt8(ascii: "b"),
                key[2] == UInt8(ascii: ".")
            {
                isDatabase = true
            }
            let rank =
                PeerName.names.firstIndex { name in
                    key.count == name.utf8CodeUnitCount && equalBytes(key, name.bytes)
                } ?? PeerName.names.count
            var value = reader
            if rank < best, (try? value.u8()) == AttributeType.string.rawValue,
                let string = try? value.lengthPrefixed()
            {
                best = rank
                text = string
            }
            guard (try? AttributeCoding.skipValue(&reader)) != nil else { return }
        }
    }
}

/// What a resource says, taken once per batch.
private struct ResourceFacts {
    var service: String
    var namespace: String
    var instance: String
    var version = ""
    var hasName: Bool

    init(_ resource: SpanBatch.Resource, _ arena: [UInt8]) {
        hasName = !resource.serviceName.isEmpty
        service = hasName ? arena.text(resource.serviceName) : ServiceIdentity.unknown
        namespace = arena.text(resource.serviceNamespace)
        instance = arena.text(resource.serviceInstance)
        var version = ""
        arena.withSlice(resource.attributes) { list in
            // As far as the list can be read.
            try? AttributeCoding.forEach(in: list) { key, value in
                guard version.isEmpty, equalBytes(key, StaticString("service.version").bytes) else {
                    return
                }
                var reader = ByteReader(value)
                if try reader.u8() == AttributeType.string.rawValue {
                    version = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
                }
            }
        }
        self.version = version
    }

    func teach(_ index: inout ServiceIndex, _ nanos: Int64, _ most: Int) {
        if hasName {
            index.aliases.admit(
                ServiceAlias(alias: service, source: "traces", rule: "service.name"), most)
        }
        if !namespace.isEmpty { index.namespaces.admit(namespace, most) }
        if !instance.isEmpty { index.instances.admit(instance, most) }
        if !version.isEmpty { index.see(version: version, nanos: nanos, most) }
    }
}
