// SPDX-License-Identifier: Apache-2.0
// Looking up, in heads and parts together.

import Storage
import Synchronization
import Telemetry

extension Correlation {
    /// Where log lines of a trace are, and its exemplars, each once, in order of time. There is every line of
    /// the trace that is stored; at the same places there may be others, whose trace id tells. O(parts · log traces).
    package func traceRefs(_ id: TraceID, tenant: Tenant) -> TraceRefs {
        var refs = TraceRefs()
        let snapshot = snapshot()
        for heads in snapshot.heads.values {
            heads[tenant.name]?.index.withLock { index in
                for day in index.days.values {
                    refs.logs += day.lines.references(id).sorted()
                        .prefix(configuration.maxReferencesPerTrace)
                    refs.exemplars += day.exemplars[id] ?? []
                }
            }
        }
        for part in snapshot.parts where part.tenant == tenant.name {
            do throws(PartCorruption) {
                refs.merge(try part.refs(id))
            } catch { refs.faults.append(error) }
        }
        refs.faults += snapshot.faults(tenant, .all)
        refs.normalise()
        return refs
    }

    /// Traces of a service whose spans start in the range: the newest, those with an error of the
    /// service, and those with its longest spans, `limit` of each at most. O(five minutes of the
    /// range · `TracePicks.most`).
    package func traces(
        ofService name: String, tenant: Tenant, range: NanosRange, limit: Int
    ) -> ServiceTraces {
        var result = ServiceTraces()
        var found: [TraceID: TracePick] = [:]
        func add(_ bucket: Int64, _ picks: TracePicks) {
            for entry in picks.entries where range.contains(entry.pick.startNanos) {
                if found[entry.id]?.merge(entry.pick) == nil { found[entry.id] = entry.pick }
            }
            // What was let go of five minutes may be newest, failed or slowest of a part of them.
            if picks.isCut, !range.covers(bucket: bucket) { result.isCut = true }
        }
        let names = RecordedNames(of: name, overrides)
        let snapshot = snapshot()
        for heads in snapshot.heads.values {
            let days = heads[tenant.name]?.index.withLock { $0.settledDays(configuration) } ?? [:]
            for (day, index) in days where range.touches(day: day) {
                for name in names.all(in: index.services) {
                    for (number, bucket) in index.services[name]?.buckets(in: range) ?? [:] {
                        add(number, bucket.picks)
                    }
                }
            }
        }
        for part in snapshot.parts
        where part.tenant == tenant.name && range.touches(day: part.day) {
            do throws(PartCorruption) {
                for name in names.all(in: part.services) {
                    for (number, picks) in try part.picks(name, range) { add(number, picks) }
                }
            } catch { result.faults.append(error) }
        }
        result.faults += snapshot.faults(tenant, range)
        let lists = TraceLists(found, limit: min(limit, TracePicks.kept))
        (result.recent, result.errors, result.slow) = (lists.recent, lists.errors, lists.slow)
        return result
    }

    /// Parts that may know of the range and cannot be read: answers are incomplete without them.
    package func faults(tenant: Tenant, range: NanosRange) -> [PartCorruption] {
        snapshot().faults(tenant, range)
    }

    /// Services seen in the range, by name.
    package func services(tenant: Tenant, range: NanosRange) -> [ServiceSummary] {
        collect(tenant, range).sorted { $0.key < $1.key }
            .compactMap { name, service in
                service.buckets.isEmpty ? nil : ServiceIndex.Totals(service).summary(name, service)
            }
    }

    /// The service that a name means: the one the configuration gives it, itself, else the first by name that has it as an alias, else
    /// the first that differs from it only in case, `_`, `-` and `.`. Nil when there is none.
    package func canonicalName(
        _ name: String, tenant: Tenant, range: NanosRange
    ) -> String? {
        let shown = configuredName(name)
        if collected(shown, tenant, range) != nil { return shown }
        let services = collect(tenant, range).sorted { $0.key < $1.key }
        return services.first { $0.value.aliases.contains { $0.alias == name } }?.key
            ?? services.first { folded($0.key) == folded(name) }?.key
    }

    /// The name that the configuration gives to a found name; the same when it gives none.
    package func configuredName(_ name: String) -> String {
        overrides?.entry(of: name)?.name ?? name
    }

    /// One service, by its name or an alias in the configuration; nil when it was not seen in the range. Edges cost O(spans of calls that wait for
    /// their other side, and of heads).
    package func service(_ name: String, tenant: Tenant, range: NanosRange) -> ServiceDetail? {
        let name = configuredName(name)
        guard let service = collected(name, tenant, range), !service.buckets.isEmpty
        else { return nil }
        let totals = ServiceIndex.Totals(service)
        var upstream: [ServiceEdge] = [], downstream: [ServiceEdge] = []
        let (calls, faults) = calls(tenant, range)
        for (key, counts) in calls.calls(range: range) {
            if key.callee == name { upstream.append(ServiceEdge(key.caller, counts)) }
            if key.caller == name { downstream.append(ServiceEdge(key.callee, counts)) }
        }
        return ServiceDetail(
            summary: totals.summary(name, service), instances: service.instances.sorted(),
            spanNames: service.spanNames ?? [],
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
            identity: service.aliases.sorted(), faults: faults)
    }

    /// Streams whose labels name the service, of the days of the range, sorted.
    package func streams(
        ofService name: String, tenant: Tenant, range: NanosRange = .all
    ) -> [Labels] {
        collected(name, tenant, range)?.streams.sorted() ?? []
    }

    /// Series whose labels or target name the service, of the days of the range, sorted.
    package func series(
        ofService name: String, tenant: Tenant, range: NanosRange = .all
    ) -> [Labels] {
        collected(name, tenant, range)?.series.sorted() ?? []
    }

    /// Versions of a service that were seen on the days of the range, in order of first sight.
    package func versions(
        ofService name: String, tenant: Tenant, range: NanosRange
    ) -> [ServiceVersion] {
        (collected(name, tenant, range)?.versions ?? [:])
            .map { ServiceVersion(version: $0.key, firstSeenNanos: $0.value) }
            .sorted { ($0.firstSeenNanos, $0.version) < ($1.firstSeenNanos, $1.version) }
    }

    /// Hashes of `series(ofService:tenant:)`, ascending.
    package func seriesHashes(ofService name: String, tenant: Tenant) -> [UInt64] {
        series(ofService: name, tenant: tenant).map(\.hash).sorted()
    }

    /// One service under its name or an alias in the configuration; nil when nothing is recorded.
    func collected(_ name: String, _ tenant: Tenant, _ range: NanosRange) -> ServiceIndex? {
        collect(tenant, range, only: name).first?.value
    }

    /// Services of all heads and parts whose day touches the range, with only its buckets; all of
    /// them, or one. Heads are copied under their lock and merged outside it. What is recorded under
    /// several names of one service is one.
    func collect(
        _ tenant: Tenant, _ range: NanosRange, only wanted: String? = nil
    ) -> [String: ServiceIndex] {
        var result: [String: ServiceIndex] = [:]
        let limits = configuration
        let overrides = overrides
        let wantedNames = wanted.map { RecordedNames(of: $0, overrides) }
        func add(_ services: [String: ServiceIndex]) {
            func add(_ name: String, _ service: ServiceIndex) {
                var selected = service
                selected.buckets = service.buckets(in: range)
                guard let entry = overrides?.entry(of: name) else {
                    result[name, default: ServiceIndex()].merge(selected, limits)
                    return
                }
                selected.rename(name, to: entry)
                result[entry.name, default: ServiceIndex()].merge(selected, limits)
            }
            if let wantedNames {
                for name in wantedNames.all(in: services) {
                    if let service = services[name] { add(name, service) }
                }
            } else if overrides == nil {
                for (name, service) in services { add(name, service) }
            } else {
                // Sorted, so that what limits leave out does not depend on hashing.
                for (name, service) in services.sorted(by: { $0.key < $1.key }) {
                    add(name, service)
                }
            }
        }
        let snapshot = snapshot()
        for (_, heads) in snapshot.heads.sorted(by: { $0.key < $1.key }) {
            let days = heads[tenant.name]?.index.withLock { $0.settledDays(configuration) } ?? [:]
            for (day, content) in days where range.touches(day: day) { add(content.services) }
        }
        for part in snapshot.parts
        where part.tenant == tenant.name && range.touches(day: part.day) {
            add(part.services)
        }
        return result
    }

    /// How far from its caller's stretch a callee is looked for, in nanoseconds: a callee starts while
    /// its caller waits, or by its own clock before; what a queue held back may start much later.
    private static let calleeSlack: Int64 = 3_600_000_000_000

    /// Callers that start in the range and callees that start in it or near it.
    func calls(
        _ tenant: Tenant, _ range: NanosRange
    ) -> (calls: CallIndex, faults: [PartCorruption]) {
        let near = range.widened(by: Correlation.calleeSlack)
        var result = CallIndex()
        var faults: [PartCorruption] = []
        let snapshot = snapshot()
        for heads in snapshot.heads.values {
            let days = heads[tenant.name]?.index.withLock { $0.settledDays(configuration) } ?? [:]
            for (day, content) in days where near.touches(day: day) {
                result.merge(content.calls.filtered(range, callees: near))
            }
        }
        for part in snapshot.parts
        where part.tenant == tenant.name && near.touches(day: part.day) {
            do throws(PartCorruption) {
                result.merge(try part.calls().filtered(range, callees: near))
            } catch { faults.append(error) }
        }
        if let overrides { result = result.renamed { overrides.entry(of: $0)?.name } }
        return (result, faults)
    }
}

extension Correlation.Snapshot {
    fileprivate func faults(_ tenant: Tenant, _ range: NanosRange) -> [PartCorruption] {
        openFaults
            + missing.faults(
                tenant: tenant.name, from: range.first.rawValue, to: range.last.rawValue)
    }
}

extension NanosRange {
    fileprivate func covers(bucket: Int64) -> Bool {
        let (start, overflow) = bucket.multipliedReportingOverflow(by: ServiceBucket.width)
        return !overflow && first.rawValue <= start
            && last.rawValue >= start.addingReportingOverflow(ServiceBucket.width - 1).partialValue
    }

    fileprivate func touches(day: Int32) -> Bool {
        utcDay(ofNanos: first.rawValue) <= day && day <= utcDay(ofNanos: last.rawValue)
    }

    fileprivate func widened(by nanos: Int64) -> NanosRange {
        let (start, under) = first.rawValue.subtractingReportingOverflow(nanos)
        let (end, over) = last.rawValue.addingReportingOverflow(nanos)
        return NanosRange(first: Nanos(under ? .min : start), last: Nanos(over ? .max : end))
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
                aliases: Set(
                    service.aliases.filter { ($0.foundBy ?? $0.rule) != TargetTable.rule }.map(
                        \.alias)
                ).subtracting([name]).sorted(),
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
