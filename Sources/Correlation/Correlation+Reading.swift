// SPDX-License-Identifier: Apache-2.0
// Looking up, in heads and parts together.

import Storage
import Synchronization
import Telemetry

extension Correlation {
    /// Log lines and exemplars of a trace, each once, in order of time. O(parts · log traces).
    package func traceRefs(_ id: TraceID, tenant: Tenant) -> TraceRefs {
        var refs = TraceRefs()
        let snapshot = snapshot()
        for heads in snapshot.heads.values {
            heads[tenant.name]?.index.withLock { index in
                for day in index.days.values {
                    if let found = day.traces[id] { refs.merge(found) }
                }
            }
        }
        for part in snapshot.parts where part.tenant == tenant.name {
            do throws(PartCorruption) {
                if let found = try part.refs(id) { refs.merge(found) }
            } catch { refs.faults.append(error) }
        }
        refs.normalise()
        return refs
    }

    /// Services seen in the range, by name.
    package func services(tenant: Tenant, range: NanosRange) -> [ServiceSummary] {
        collect(tenant, range) { _ in true }.sorted { $0.key < $1.key }
            .compactMap { name, service in
                service.buckets.isEmpty ? nil : ServiceIndex.Totals(service).summary(name, service)
            }
    }

    /// One service; nil when it was not seen in the range. Edges cost O(spans of calls in the
    /// range).
    package func service(_ name: String, tenant: Tenant, range: NanosRange) -> ServiceDetail? {
        guard let service = collect(tenant, range, where: { $0 == name })[name],
            !service.buckets.isEmpty
        else { return nil }
        let totals = ServiceIndex.Totals(service)
        var upstream: [ServiceEdge] = [], downstream: [ServiceEdge] = []
        for (key, counts) in calls(tenant, range).edges() {
            if key.callee == name { upstream.append(ServiceEdge(key.caller, counts)) }
            if key.caller == name { downstream.append(ServiceEdge(key.callee, counts)) }
        }
        return ServiceDetail(
            summary: totals.summary(name, service), instances: service.instances.sorted(),
            metricNames: Set(service.series.compactMap { $0["__name__"] }).sorted(),
            streams: service.streams.sorted(), series: service.series.sorted(),
            operations: totals.operations.sorted { $0.key < $1.key }.map {
                ServiceOperation($0.key, $0.value)
            },
            upstream: upstream.sorted { $0.service < $1.service },
            downstream: downstream.sorted { $0.service < $1.service },
            versions: service.versions
                .map { ServiceVersion(version: $0.key, firstSeenNanos: $0.value) }
                .sorted { ($0.firstSeenNanos, $0.version) < ($1.firstSeenNanos, $1.version) },
            identity: service.aliases.sorted())
    }

    /// Streams whose labels name the service, sorted.
    package func streams(ofService name: String, tenant: Tenant) -> [Labels] {
        collect(tenant, .all) { $0 == name }[name]?.streams.sorted() ?? []
    }

    /// Series whose labels name the service, sorted.
    package func series(ofService name: String, tenant: Tenant) -> [Labels] {
        collect(tenant, .all) { $0 == name }[name]?.series.sorted() ?? []
    }

    /// Hashes of `series(ofService:tenant:)`, ascending.
    package func seriesHashes(ofService name: String, tenant: Tenant) -> [UInt64] {
        series(ofService: name, tenant: tenant).map(\.hash).sorted()
    }

    /// The service that a series' labels name; nil when none does.
    package func serviceName(ofSeries labels: Labels) -> String? { ServiceIdentity(labels)?.name }

    /// The service that a stream's labels name; nil when none does.
    package func serviceName(ofStream labels: Labels) -> String? { ServiceIdentity(labels)?.name }

    /// Services of all heads and parts whose day touches the range, with only its buckets.
    private func collect(
        _ tenant: Tenant, _ range: NanosRange, where wanted: (String) -> Bool
    ) -> [String: ServiceIndex] {
        var result: [String: ServiceIndex] = [:]
        let limits = configuration
        func add(_ services: [String: ServiceIndex]) {
            for (name, service) in services where wanted(name) {
                var selected = service
                selected.buckets = service.buckets(in: range)
                result[name, default: ServiceIndex()].merge(selected, limits)
            }
        }
        let snapshot = snapshot()
        for (_, heads) in snapshot.heads.sorted(by: { $0.key < $1.key }) {
            heads[tenant.name]?.index.withLock { index in
                for (day, content) in index.days where range.touches(day: day) {
                    add(content.services)
                }
            }
        }
        for part in snapshot.parts
        where part.tenant == tenant.name && range.touches(day: part.day) {
            add(part.services)
        }
        return result
    }

    private func calls(_ tenant: Tenant, _ range: NanosRange) -> CallIndex {
        var result = CallIndex()
        let snapshot = snapshot()
        for heads in snapshot.heads.values {
            heads[tenant.name]?.index.withLock { index in
                for (day, content) in index.days where range.touches(day: day) {
                    result.merge(content.calls, range: range)
                }
            }
        }
        for part in snapshot.parts
        where part.tenant == tenant.name && range.touches(day: part.day) {
            result.merge(part.calls, range: range)
        }
        return result
    }
}

extension NanosRange {
    fileprivate func touches(day: Int32) -> Bool {
        utcDay(ofNanos: first.rawValue) <= day && day <= utcDay(ofNanos: last.rawValue)
    }
}

extension ServiceIndex {
    /// Sums over buckets.
    fileprivate struct Totals {
        var operations: [OperationKey: OperationCounts] = [:]
        var all = OperationCounts()
        var lines: UInt64 = 0
        var errorLines: UInt64 = 0
        var lastSeen = Int64.min

        init(_ service: ServiceIndex) {
            for bucket in service.buckets.values {
                lines &+= bucket.logLineCount
                errorLines &+= bucket.errorLogLineCount
                lastSeen = max(lastSeen, bucket.lastSeenNanos)
                for (key, counts) in bucket.operations {
                    operations[key, default: OperationCounts()].merge(counts)
                    all.merge(counts)
                }
            }
        }

        func summary(_ name: String, _ service: ServiceIndex) -> ServiceSummary {
            ServiceSummary(
                name: name, namespace: service.namespaces.min(),
                aliases: Set(service.aliases.map(\.alias)).subtracting([name]).sorted(),
                spanCount: all.count, errorCount: all.errorCount,
                p50Nanos: all.durations.quantile(0.5), p95Nanos: all.durations.quantile(0.95),
                p99Nanos: all.durations.quantile(0.99), logLineCount: lines,
                errorLogLineCount: errorLines, seriesCount: service.series.count,
                lastSeenNanos: lastSeen)
        }
    }
}

extension ServiceOperation {
    fileprivate init(_ key: OperationKey, _ counts: OperationCounts) {
        self.init(
            name: key.name, kind: key.kind, count: counts.count, errorCount: counts.errorCount,
            p50Nanos: counts.durations.quantile(0.5), p95Nanos: counts.durations.quantile(0.95),
            p99Nanos: counts.durations.quantile(0.99))
    }
}

extension ServiceEdge {
    fileprivate init(_ service: String, _ counts: OperationCounts) {
        self.init(
            service: service, callCount: counts.count, errorCount: counts.errorCount,
            p95Nanos: counts.durations.quantile(0.95))
    }
}
