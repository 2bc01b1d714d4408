// SPDX-License-Identifier: Apache-2.0
// Learning from batches.

import Base
import Storage
import Telemetry

/// The index of one generation and tenant: days by number.
struct HeadIndex: Sendable {
    var days: [Int32: DayIndex] = [:]
    var sources = SpanSources()
    private var streams = KnownStreams()
    private(set) var overrides: IdentityOverrides?
    private var touched = TouchedSeries()
    /// Services that `touched` points to: those of series, by day.
    private var seriesServices: [SeriesService] = []
    private var seriesServiceNumbers: [SeriesService.Key: Int32] = [:]
    /// What was found out about series by the labels that say what they belong to.
    private var identified: [UInt64: Identified] = [:]

    private struct Identified {
        /// As in `TouchedSeries`.
        var service: Int32
        /// Time of the series that was looked at: an earlier one may have news about versions.
        var nanos: Int64
    }
    /// Entries of `identified` at which it is begun afresh: some 3 MB.
    private static let maxIdentified = 1 << 16

    /// A service that has series, on one day.
    private struct SeriesService {
        struct Key: Hashable {
            var day: Int32
            var name: String
        }
        var key: Key
        /// The last bucket in which one of its series was counted, and the latest time there.
        var bucket = Int32.min
        var lastSeenNanos = Int64.min
        /// Whether its service takes no more series.
        var isFull = false
    }

    /// About the bytes of memory held.
    var byteCount: Int {
        touched.byteCount + identified.count * 48 + sources.byteCount + streams.byteCount
            + days.values.reduce(0) {
                $0 + $1.byteCount + $1.lines.byteCount + $1.calls.byteCount
            }
    }

    /// Samples cost one look-up in a table; only a series new to its day costs more.
    ///
    /// - Parameter targets: what `target_info` has said, this batch included.
    mutating func record(
        _ batch: MetricBatch, targets: TargetTable, _ limits: CorrelationConfiguration
    ) {
        touch(batch, batch.sampleSeries, batch.sampleMillis, targets, limits)
        touch(batch, batch.histogramSeries, batch.histogramMillis, targets, limits)
        for i in batch.exemplarSeries.indices {
            let labels = Labels(canonical: Array(batch.arena[batch.exemplarLabels[i].range]))
            guard let id = traceID(ofExemplar: labels) else { continue }
            let nanos = nanosFromMillis(batch.exemplarMillis[i])
            let exemplar = ExemplarReference(
                series: batch.arena.labels(batch.series[Int(batch.exemplarSeries[i])]),
                millis: batch.exemplarMillis[i], value: batch.exemplarValues[i], labels: labels)
            with(nanos) { $0.addExemplar(id, exemplar, limits) }
        }
    }

    private mutating func touch(
        _ batch: MetricBatch, _ series: [UInt32], _ millis: [Int64], _ targets: TargetTable,
        _ limits: CorrelationConfiguration
    ) {
        // Most batches have one time, so what follows from it is worked out once.
        var time = SampleTime()
        var hasTime = false
        for i in series.indices {
            if !hasTime || time.millis != millis[i] {
                hasTime = true
                time = SampleTime(millis[i])
                days[time.day, default: DayIndex()].see(time.nanos)
            }
            let ref = batch.series[Int(series[i])]
            let later = i &+ TouchedSeries.prefetchAhead
            if later < series.count { touched.prepare(batch.series[Int(series[later])].hash) }
            switch touched.touch(ref.hash, time.bucket) {
            case .same: continue
            case .later(let service):
                if service == TouchedSeries.noService { continue }
                if seriesServices[Int(service)].key.day == time.day {
                    see(Int(service), time)
                    continue
                }
            case .unknown: break
            }
            let service = learn(ref, batch, time, targets, limits)
            touched.set(ref.hash, time.bucket, service: service)
        }
    }

    /// A time of samples, and what follows from it.
    private struct SampleTime {
        var millis: Int64 = 0
        var nanos: Int64 = 0
        var day: Int32 = 0
        var bucket: Int32 = 0

        init() {}

        init(_ millis: Int64) {
            self.millis = millis
            nanos = nanosFromMillis(millis)
            day = utcDay(ofNanos: nanos)
            bucket = Int32(clamping: ServiceBucket.number(nanos))
        }
    }

    /// Notes that a service was alive, unless a series of the same time has said so.
    private mutating func see(_ number: Int, _ time: SampleTime) {
        let known = seriesServices[number]
        if known.bucket == time.bucket, known.lastSeenNanos >= time.nanos { return }
        seriesServices[number].bucket = time.bucket
        seriesServices[number].lastSeenNanos = time.nanos
        days[time.day]?.services[known.key.name]?.see(time.nanos)
    }

    /// Looks at a series by the labels that say what it belongs to, and whole where they are new.
    /// Returns what `touched` is to know of it.
    private mutating func learn(
        _ ref: LabelsRef, _ batch: MetricBatch, _ time: SampleTime, _ targets: TargetTable,
        _ limits: CorrelationConfiguration
    ) -> Int32 {
        let seed = UInt64(truncatingIfNeeded: time.day)
        let key = batch.arena.withSlice(ref.slice) { ServiceIdentity.key(ofSeries: $0, seed: seed) }
        // A selector may look at any label.
        guard let key, overrides?.hasSelectors != true else {
            return learn(batch.arena.labels(ref), time, targets, limits)
        }
        if let known = identified[key], known.nanos <= time.nanos {
            guard known.service >= 0 else { return known.service }
            let number = Int(known.service)
            if !seriesServices[number].isFull { admit(batch.arena.labels(ref), number, limits) }
            see(number, time)
            return known.service
        }
        let service = learn(batch.arena.labels(ref), time, targets, limits)
        // What found no room may find some in another bucket.
        guard service != TouchedSeries.everyBucket else { return service }
        if identified.count >= HeadIndex.maxIdentified { identified.removeAll() }
        identified[key] = Identified(service: service, nanos: time.nanos)
        return service
    }

    /// Adds a series to the set of its service, as long as there is room.
    private mutating func admit(
        _ labels: Labels, _ number: Int, _ limits: CorrelationConfiguration
    ) {
        let key = seriesServices[number].key
        var isFull = false
        _ = days[key.day]?.withService(key.name, limits) { service, bytes in
            if service.series.admit(labels, limits.maxSetEntries) {
                bytes += 64 + labels.bytes.count
            }
            isFull = service.series.count >= limits.maxSetEntries
        }
        seriesServices[number].isFull = isFull
    }

    /// Looks at a series whole. Returns what `touched` is to know of it.
    private mutating func learn(
        _ labels: Labels, _ time: SampleTime, _ targets: TargetTable,
        _ limits: CorrelationConfiguration
    ) -> Int32 {
        guard let identity = targets.identity(ofSeries: labels, overrides) else {
            return TouchedSeries.noService
        }
        let isKept = days[time.day, default: DayIndex()].withService(identity.name, limits) {
            service, bytes in
            service.learn(labels, identity, "metrics", time.nanos, limits)
            if service.series.admit(labels, limits.maxSetEntries) {
                bytes += 64 + labels.bytes.count
            }
            service.see(time.nanos)
        }
        guard isKept else { return TouchedSeries.everyBucket }
        let key = SeriesService.Key(day: time.day, name: identity.name)
        if let known = seriesServiceNumbers[key] { return known }
        let number = Int32(truncatingIfNeeded: seriesServices.count)
        seriesServices.append(SeriesService(key: key))
        seriesServiceNumbers[key] = number
        return number
    }

    /// Looks at series again that were counted before their target was known.
    mutating func forgetTouchedSeries() {
        touched.removeAll()
        identified.removeAll()
    }

    /// Takes what the configuration says about names. When that is new, what was found out by the
    /// earlier one is forgotten: series, streams and resources count as not seen yet.
    mutating func adopt(_ overrides: IdentityOverrides?, _ limits: CorrelationConfiguration) {
        if self.overrides === overrides { return }
        settle(limits)
        self.overrides = overrides
        forgetTouchedSeries()
        streams = KnownStreams()
        sources.forget()
    }

    /// Lines are counted by stream and bucket first, so that the index is asked once for each such
    /// group; lines of traces are added to a column, without a look-up.
    mutating func record(_ batch: LogBatch, _ limits: CorrelationConfiguration) {
        for group in LineGroup.groups(of: batch) { count(group, batch, limits) }
        // Lines of a batch are mostly of one day, which is then looked up once.
        var row = 0
        while row < batch.rowCount {
            let number = utcDay(ofNanos: batch.nanos[row])
            let start = row
            row += 1
            while row < batch.rowCount, utcDay(ofNanos: batch.nanos[row]) == number { row += 1 }
            guard let first = (start..<row).first(where: { !batch.traceIDs[$0].isZero }) else {
                continue
            }
            with(batch.nanos[first]) { $0.addLines(batch, first..<row) }
        }
    }

    private mutating func count(
        _ group: LineGroup, _ batch: LogBatch, _ limits: CorrelationConfiguration
    ) {
        let ref = batch.streams[Int(group.stream)]
        let key = KnownStreams.Key(day: utcDay(ofNanos: group.firstNanos), hash: ref.hash)
        if let known = streams.add(group, to: key) {
            if let settled = known { settle(settled, limits) }
            return
        }
        let labels = batch.arena.labels(ref)
        let identity = ServiceIdentity(ofStream: labels, overrides)
        var isKept = true
        with(group.firstNanos) { day in
            guard let identity else { return }
            isKept = day.withService(identity.name, limits) { service, bytes in
                if service.streams.admit(labels, limits.maxSetEntries) {
                    bytes += 64 + labels.bytes.count
                    service.learn(labels, identity, "logs", group.firstNanos, limits)
                }
            }
        }
        guard isKept else { return }
        if streams.isFull { settle(limits) }
        streams.add(key, identity?.name, group)
    }

    /// Tells a service of lines that were counted.
    private mutating func settle(
        _ counted: KnownStreams.Counted, _ limits: CorrelationConfiguration
    ) {
        let group = counted.group
        with(group.firstNanos) { day in
            day.see(group.lastNanos)
            guard let name = counted.service else { return }
            day.withService(name, limits) { service, _ in
                service.see(group.firstNanos)
                service.see(group.lastNanos)
                service.buckets[group.bucket]?.logLineCount += group.lines
                service.buckets[group.bucket]?.errorLogLineCount += group.errors
            }
        }
    }

    /// Tells all services of the lines that were counted.
    private mutating func settle(_ limits: CorrelationConfiguration) {
        for counted in streams.takeCounted() { settle(counted, limits) }
    }

    /// The days with all that was recorded. O(streams that have had lines since).
    mutating func settledDays(_ limits: CorrelationConfiguration) -> [Int32: DayIndex] {
        settle(limits)
        return days
    }

    mutating func with(_ nanos: Int64, _ body: (inout DayIndex) -> Void) {
        let day = utcDay(ofNanos: nanos)
        body(&days[day, default: DayIndex()])
        days[day]?.see(nanos)
    }
}

extension DayIndex {
    /// Notes where the lines of traces are.
    fileprivate mutating func addLines(_ batch: LogBatch, _ rows: Range<Int>) {
        // Numbers of the streams of this batch, found when needed.
        var numbers = [UInt32?](repeating: nil, count: batch.streams.count)
        for row in rows where !batch.traceIDs[row].isZero {
            let stream = Int(batch.rowStreams[row])
            let number = numbers[stream] ?? lines.number(ofStream: batch.streams[stream].hash)
            numbers[stream] = number
            lines.add(batch.traceIDs[row], stream: number, nanos: batch.nanos[row])
        }
    }
}

extension ServiceIndex {
    /// Notes that the service was alive then.
    mutating func see(_ nanos: Int64) {
        let number = ServiceBucket.number(nanos)
        var last = buckets[number]?.lastSeenNanos ?? .min
        last = max(last, nanos)
        buckets[number, default: ServiceBucket()].lastSeenNanos = last
    }

    /// Takes what labels say about the service besides its name.
    fileprivate mutating func learn(
        _ labels: Labels, _ identity: ServiceIdentity, _ source: String, _ nanos: Int64,
        _ limits: CorrelationConfiguration
    ) {
        let most = limits.maxSetEntries
        aliases.admit(
            ServiceAlias(alias: identity.alias, source: source, rule: identity.rule), most)
        if let namespace = identity.namespace { namespaces.admit(namespace, most) }
        if let instance = labels["service_instance_id"] ?? labels["instance"] ?? labels["pod"] {
            instances.admit(instance, most)
        }
        if let version = labels["service_version"] ?? labels["version"] {
            see(version: version, nanos: nanos, most)
        }
    }
}

/// Milliseconds as nanoseconds, held at the ends of the range.
package func nanosFromMillis(_ millis: Int64) -> Int64 {
    let (nanos, overflow) = millis.multipliedReportingOverflow(by: 1_000_000)
    return overflow ? (millis < 0 ? .min : .max) : nanos
}
