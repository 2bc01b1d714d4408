// SPDX-License-Identifier: Apache-2.0
// Learning from spans.

import Base
import Storage
import Telemetry

extension HeadIndex {
    /// Spans are added up by service, five minutes and operation first, so that the index is asked once
    /// for each such group. A span costs one look-up in a small table of the batch.
    mutating func record(_ batch: SpanBatch, _ limits: CorrelationConfiguration) {
        guard batch.rowCount > 0 else { return }
        var resources = BatchResources(batch)
        var groups = SpanGroups(batch)
        batch.arena.withUnsafeBytes { arena in
            for row in 0..<batch.rowCount {
                let resource = Int(batch.rowResources[row])
                if resources.services[resource] < 0 {
                    let (key, number) = sources.number(
                        of: batch.resources[resource], batch.arena, overrides)
                    resources.keys[resource] = key
                    resources.services[resource] = number
                }
                resources.see(resource, batch.startNanos[row])
                groups.add(row, batch, resources.services[resource], arena)
            }
        }
        for group in groups.groups {
            days[utcDay(ofNanos: group.firstNanos), default: DayIndex()].count(
                group, groups, batch, sources.serviceNames[Int(group.service)], limits)
        }
        teach(resources, batch, limits)
        var row = 0
        while row < batch.rowCount {
            let number = utcDay(ofNanos: batch.startNanos[row])
            let start = row
            while row < batch.rowCount, utcDay(ofNanos: batch.startNanos[row]) == number {
                row += 1
            }
            days[number, default: DayIndex()].addCalls(
                batch, start..<row, resources.services, sources.serviceNames, limits)
        }
    }

    /// Tells services what the resources of a batch say of them.
    private mutating func teach(
        _ resources: BatchResources, _ batch: SpanBatch, _ limits: CorrelationConfiguration
    ) {
        for resource in batch.resources.indices where resources.services[resource] >= 0 {
            let first = resources.firstNanos[resource], last = resources.lastNanos[resource]
            teach(batch, resource, resources.keys[resource], first, limits)
            if utcDay(ofNanos: first) == utcDay(ofNanos: last) { continue }
            for row in 0..<batch.rowCount where Int(batch.rowResources[row]) == resource {
                teach(batch, resource, resources.keys[resource], batch.startNanos[row], limits)
            }
        }
    }

    private mutating func teach(
        _ batch: SpanBatch, _ resource: Int, _ key: UInt64, _ nanos: Int64,
        _ limits: CorrelationConfiguration
    ) {
        let day = utcDay(ofNanos: nanos)
        // Only an earlier time has news: about versions.
        if sources.isTaught(key, day, nanos) { return }
        let facts = ResourceFacts(batch.resources[resource], batch.arena, overrides)
        var isKept = false
        with(nanos) { index in
            isKept = index.withService(facts.service, limits) { service, _ in
                facts.teach(&service, nanos, limits.maxSetEntries)
            }
        }
        if isKept { sources.taught(key, day, nanos) }
    }
}

/// Resources that spans came from, by a hash of what they say: so that each is taken apart once.
struct SpanSources: Sendable {
    private struct Known {
        var service: Int32
        /// Day and time that its service was told of.
        var day: Int32?
        var nanos: Int64 = .max
    }
    /// At which it is begun afresh.
    private static let most = 1 << 14

    private(set) var serviceNames: [String] = []
    private var serviceNumbers: [String: Int32] = [:]
    private var known: [UInt64: Known] = [:]

    var byteCount: Int { known.count * 64 + serviceNames.count * 96 }

    /// A key of the resource and the number of its service. O(bytes), one look-up.
    mutating func number(
        of resource: SpanBatch.Resource, _ arena: [UInt8], _ overrides: IdentityOverrides?
    ) -> (key: UInt64, service: Int32) {
        var key = arena.withSlice(resource.serviceName) { hash64($0) }
        for slice in [
            resource.serviceNamespace, resource.serviceInstance, resource.attributes,
        ] {
            key = arena.withSlice(slice) { hash64($0, seed: key) }
        }
        if let known = known[key] { return (key, known.service) }
        let name =
            overrides?.match(resource, arena)?.name
            ?? (resource.serviceName.isEmpty
                ? ServiceIdentity.unknown : arena.text(resource.serviceName))
        let number = serviceNumbers[name] ?? Int32(truncatingIfNeeded: serviceNames.count)
        if Int(number) == serviceNames.count {
            serviceNames.append(name)
            serviceNumbers[name] = number
        }
        if known.count >= SpanSources.most { known.removeAll() }
        known[key] = Known(service: number)
        return (key, number)
    }

    /// Looks at resources again.
    mutating func forget() { known.removeAll() }

    func isTaught(_ key: UInt64, _ day: Int32, _ nanos: Int64) -> Bool {
        guard let known = known[key] else { return false }
        return known.day == day && known.nanos <= nanos
    }

    mutating func taught(_ key: UInt64, _ day: Int32, _ nanos: Int64) {
        known[key]?.day = day
        known[key]?.nanos = nanos
    }
}

/// What a batch has of each resource.
private struct BatchResources {
    var keys: [UInt64]
    /// −1 = no span yet.
    var services: [Int32]
    private(set) var firstNanos: [Int64]
    private(set) var lastNanos: [Int64]

    init(_ batch: SpanBatch) {
        let count = batch.resources.count
        keys = [UInt64](repeating: 0, count: count)
        services = [Int32](repeating: -1, count: count)
        firstNanos = [Int64](repeating: .max, count: count)
        lastNanos = [Int64](repeating: .min, count: count)
    }

    mutating func see(_ resource: Int, _ nanos: Int64) {
        if nanos < firstNanos[resource] { firstNanos[resource] = nanos }
        if nanos > lastNanos[resource] { lastNanos[resource] = nanos }
    }
}

extension ServiceIndex {
    /// Returns by how many bytes it has grown.
    fileprivate mutating func count(
        _ group: SpanGroups.Group, _ groups: SpanGroups, _ batch: SpanBatch, _ maxOperations: Int
    ) -> Int {
        see(group.firstNanos)
        see(group.lastNanos)
        var bucket = buckets.removeValue(forKey: group.bucket) ?? ServiceBucket()
        let before = bucket.byteCount
        groups.add(group, to: &bucket, batch, maxOperations)
        let grown = max(0, bucket.byteCount - before)
        buckets[group.bucket] = bucket
        return grown
    }
}

extension ServiceBucket {
    /// About the bytes of memory that grow with spans.
    fileprivate var byteCount: Int {
        operations.count * 1024
            + picks.entries.count * MemoryLayout<TracePicks.Entry>.stride
    }
}

extension SpanBatch {
    /// Not below 0; 0 when it is beyond 64 bits.
    func duration(_ row: Int) -> Int64 {
        let (difference, overflow) = endNanos[row].subtractingReportingOverflow(startNanos[row])
        return overflow ? 0 : max(0, difference)
    }
}

extension DayIndex {
    /// Counts the spans of one service and five minutes. No closures, which would copy the batch.
    fileprivate mutating func count(
        _ group: SpanGroups.Group, _ groups: SpanGroups, _ batch: SpanBatch, _ name: String,
        _ limits: CorrelationConfiguration
    ) {
        see(group.firstNanos)
        see(group.lastNanos)
        guard admits(name, limits) else { return }
        byteCount += services[name, default: ServiceIndex()].count(
            group, groups, batch, limits.maxOperations)
    }

    /// - Parameter resources: numbers of the services of the batch's resources in `names`.
    fileprivate mutating func addCalls(
        _ batch: SpanBatch, _ rows: Range<Int>, _ resources: [Int32], _ names: [String],
        _ limits: CorrelationConfiguration
    ) {
        batch.arena.withUnsafeBytes { arena in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: arena[slice.range])
            }
            // Numbers of the services of this batch, found when needed.
            var services = [UInt32?](repeating: nil, count: batch.resources.count)
            // Spans of a trace mostly lie together.
            var trace = TraceID.zero
            var traceKey = CallRow.key(trace)
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
                let service =
                    services[resource] ?? serviceNumber(names[Int(resources[resource])])
                services[resource] = service
                if trace != batch.traceIDs[row] {
                    trace = batch.traceIDs[row]
                    traceKey = CallRow.key(trace)
                }
                var call = CallRow(
                    span: CallRow.key(traceKey, batch.spanIDs[row]),
                    bucket: Int32(
                        truncatingIfNeeded: ServiceBucket.number(batch.startNanos[row])),
                    service: service)
                call.duration = DurationHistogram.index(batch.duration(row))
                if batch.statusCodes[row] == 2 { call.flags |= CallRow.error }
                if isCaller {
                    let peer = PeerName(in: bytes(batch.attributes[row]))
                    call.peer = calls.number(peer.text)
                    if peer.isDatabase { call.flags |= CallRow.database }
                    if kind == 4 { call.flags |= CallRow.producer }
                } else {
                    call.flags |= CallRow.callee
                    call.parent = CallRow.key(traceKey, batch.parentIDs[row])
                }
                calls.add(call)
            }
        }
    }

    private mutating func serviceNumber(_ name: String) -> UInt32 {
        var name = name
        return name.withUTF8 { calls.number(UnsafeRawBufferPointer($0)) }
    }
}

/// The other side's name in a caller's attributes.
private struct PeerName {
    private(set) var text = UnsafeRawBufferPointer(start: nil, count: 0)
    private(set) var isDatabase = false
    private static let names: [StaticString] = [
        "peer.service", "server.address", "db.system.name", "db.system", "messaging.system",
    ]

    /// Place in `names`; their count when it is none of them.
    private static func rank(_ key: UnsafeRawBufferPointer) -> Int {
        // Most attributes are none of these.
        switch key.count {
        case 9, 12, 14, 16:
            names.firstIndex { key.count == $0.utf8CodeUnitCount && equalBytes(key, $0.bytes) }
                ?? names.count
        default: names.count
        }
    }

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
            let rank = PeerName.rank(key)
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
    /// Nil when nothing names the service.
    private var alias: ServiceAlias?

    init(
        _ resource: SpanBatch.Resource, _ arena: [UInt8], _ overrides: IdentityOverrides?
    ) {
        service = ServiceIdentity.unknown
        if !resource.serviceName.isEmpty {
            service = arena.text(resource.serviceName)
            alias = ServiceAlias(alias: service, source: "traces", rule: "service.name")
        }
        if let match = overrides?.match(resource, arena) {
            alias = ServiceAlias(alias: service, source: "traces", rule: match.rule)
            service = match.name
        }
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
        if let alias { index.aliases.admit(alias, most) }
        if !namespace.isEmpty { index.namespaces.admit(namespace, most) }
        if !instance.isEmpty { index.instances.admit(instance, most) }
        if !version.isEmpty { index.see(version: version, nanos: nanos, most) }
    }
}
