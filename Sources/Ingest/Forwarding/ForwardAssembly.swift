// SPDX-License-Identifier: Apache-2.0
// From batches of the queue to requests.

import Base
import Telemetry
import Wire

/// What goes into one request.
struct ForwardPiece: Sendable {
    var batch: MetricBatch
    var tenant: Tenant
}

/// Samples that were left out, by reason.
package struct ForwardLeftOut: Sendable, Equatable {
    package var byRelabelling = 0
    package var byAge = 0
    package var histograms = 0
    package var exemplars = 0
}

/// Applies external labels and relabelling rules, deals series out to shards by the hash of the
/// labels that are sent, and cuts each shard's points into requests. The same window and number of
/// shards give the same pieces, so that what is sent again after a crash is refused or taken as a
/// whole.
///
/// - Complexity: O(points + label bytes); a series is relabelled once.
struct ForwardAssembly: Sendable {
    private let settings: ForwardSettings
    /// Labels as sent by labels as stored; nil = dropped.
    private var relabelled: [[UInt8]: [UInt8]?] = [:]
    private var relabelledBytes = 0
    private var families: [FamilyKey: Family] = [:]

    private struct FamilyKey: Hashable {
        var tenant: String
        var name: [UInt8]
    }
    private struct Family {
        var type: MetricType
        var help: [UInt8]
        var unit: [UInt8]
        /// Monotonic time at which it was last sent alone; nil = never.
        var sentNanos: Int64?
    }

    /// Bytes of labels that are remembered, and families whose metadata is.
    private static let rememberedBytes = 64 << 20
    private static let rememberedFamilies = 50_000

    init(_ settings: ForwardSettings) { self.settings = settings }

    fileprivate struct Building {
        var batch = MetricBatch()
        var places: [UInt64: UInt32] = [:]
        var points = 0
    }
    private struct ShardKey: Hashable {
        var tenant: String
        var shard: Int
    }

    /// The pieces of each shard, in the order in which they have to go out, and what was left out.
    ///
    /// - Parameters:
    ///   - nowMillis: wall clock, for the age limit.
    ///   - nowNanos: monotonic clock, for the metadata that goes alone in version 1.
    mutating func pieces(
        of records: [ForwardRecord], shards: Int, version: ForwardVersion, nowMillis: Int64,
        nowNanos: Int64
    ) throws(MalformedBytes) -> (shards: [[ForwardPiece]], leftOut: ForwardLeftOut) {
        var leftOut = ForwardLeftOut()
        var open: [ShardKey: Building] = [:]
        var done = [[ForwardPiece]](repeating: [], count: max(1, shards))
        let oldest =
            settings.sampleAgeLimitSeconds > 0
            ? nowMillis - Int64(settings.sampleAgeLimitSeconds * 1000) : .min
        for record in records {
            let batch = try MetricBatch(decodingArray: record.payload)
            remember(batch, record.tenant)
            let samples = PointsBySeries(batch.sampleSeries, seriesCount: batch.series.count)
            let histograms = PointsBySeries(batch.histogramSeries, seriesCount: batch.series.count)
            let exemplars = PointsBySeries(batch.exemplarSeries, seriesCount: batch.series.count)
            for s in 0..<batch.series.count {
                let stored = batch.series[s]
                guard let (labels, hash) = sent(batch, stored) else {
                    leftOut.byRelabelling += samples[s].count + histograms[s].count
                    leftOut.exemplars += exemplars[s].count
                    continue
                }
                let key = ShardKey(
                    tenant: record.tenant, shard: Int(hash % UInt64(max(1, shards))))
                var building = open.removeValue(forKey: key) ?? Building()
                func room(_ building: inout Building) -> UInt32 {
                    if building.points >= settings.samplesPerRequest {
                        done[key.shard].append(piece(building, key, version))
                        building = Building()
                    }
                    building.points += 1
                    return building.place(of: labels, hash)
                }
                for i in samples[s] {
                    guard batch.sampleMillis[i] >= oldest else {
                        leftOut.byAge += 1
                        continue
                    }
                    building.batch.addSample(
                        series: room(&building), millis: batch.sampleMillis[i],
                        value: batch.sampleValues[i],
                        startMillis: batch.sampleStartMillis.isEmpty
                            ? 0 : batch.sampleStartMillis[i])
                }
                for i in histograms[s] {
                    guard settings.sendsNativeHistograms else {
                        leftOut.histograms += 1
                        continue
                    }
                    guard batch.histogramMillis[i] >= oldest else {
                        leftOut.byAge += 1
                        continue
                    }
                    let series = room(&building)
                    let slice = batch.arena.withSlice(batch.histograms[i]) {
                        building.batch.arena.keep($0)
                    }
                    building.batch.addHistogram(
                        series: series, millis: batch.histogramMillis[i], slice: slice,
                        startMillis: batch.histogramStartMillis.isEmpty
                            ? 0 : batch.histogramStartMillis[i])
                }
                for i in exemplars[s] {
                    guard settings.sendsExemplars, batch.exemplarMillis[i] >= oldest else {
                        leftOut.exemplars += 1
                        continue
                    }
                    let series = room(&building)
                    batch.arena.withSlice(batch.exemplarLabels[i]) { labels in
                        building.batch.addExemplar(
                            series: series, millis: batch.exemplarMillis[i],
                            value: batch.exemplarValues[i], labels: labels)
                    }
                }
                open[key] = building
            }
        }
        let rest = open.filter { $0.value.points > 0 }.sorted {
            ($0.key.tenant, $0.key.shard) < ($1.key.tenant, $1.key.shard)
        }
        for (key, building) in rest { done[key.shard].append(piece(building, key, version)) }
        if version == .one, settings.sendsMetadata {
            done[0] += metadataPieces(nowNanos)
        }
        return (done, leftOut)
    }

    // MARK: - Labels

    /// Labels as they are sent and their hash; nil when a rule drops the series.
    private mutating func sent(
        _ batch: MetricBatch, _ stored: LabelsRef
    ) -> (labels: [UInt8], hash: UInt64)? {
        let bytes = Array(batch.arena[stored.slice.range])
        if settings.rules.isEmpty, settings.externalLabels.isEmpty { return (bytes, stored.hash) }
        if let known = relabelled[bytes] { return known.map { ($0, hash64($0)) } }
        var builder = LabelsBuilder(Labels(canonical: bytes, hash: stored.hash))
        for label in settings.externalLabels where builder[label.name] == nil {
            builder.set(label.name, label.value)
        }
        let result = relabel(builder.labels(), settings.rules).flatMap {
            $0.bytes.isEmpty ? nil : $0.bytes
        }
        relabelledBytes += bytes.count + (result?.count ?? 0) + 64
        if relabelledBytes > ForwardAssembly.rememberedBytes {
            relabelled = [:]
            relabelledBytes = bytes.count + (result?.count ?? 0) + 64
        }
        relabelled[bytes] = .some(result)
        return result.map { ($0, hash64($0)) }
    }

    // MARK: - Metadata

    private mutating func remember(_ batch: MetricBatch, _ tenant: String) {
        guard settings.sendsMetadata else { return }
        for entry in batch.metadata {
            let key = FamilyKey(tenant: tenant, name: Array(batch.arena[entry.family.range]))
            let family = Family(
                type: entry.type, help: Array(batch.arena[entry.help.range]),
                unit: Array(batch.arena[entry.unit.range]))
            if let known = families[key], known.type == family.type, known.help == family.help,
                known.unit == family.unit
            {
                continue
            }
            guard families.count < ForwardAssembly.rememberedFamilies || families[key] != nil
            else { continue }
            families[key] = family
        }
    }

    /// Version 2 carries metadata with each series.
    private func piece(
        _ building: Building, _ key: ShardKey, _ version: ForwardVersion
    ) -> ForwardPiece {
        var batch = building.batch
        if version == .two, !families.isEmpty {
            var added: Set<[UInt8]> = []
            for series in batch.series {
                let name = batch.arena.withSlice(series.slice) { labels in
                    labelValue(of: metricNameBytes, in: labels).map { Array($0) }
                }
                guard let name else { continue }
                for candidate in familyCandidates(name) where !added.contains(candidate) {
                    guard let family = families[FamilyKey(tenant: key.tenant, name: candidate)]
                    else { continue }
                    added.insert(candidate)
                    batch.add(candidate, family.type, family.help, family.unit)
                }
            }
        }
        return ForwardPiece(batch: batch, tenant: Tenant(key.tenant))
    }

    /// The names of families to which a series may belong.
    private func familyCandidates(_ name: [UInt8]) -> [[UInt8]] {
        var result = [name]
        for suffix in ["_bucket", "_count", "_sum"] where name.count > suffix.utf8.count {
            if name.suffix(suffix.utf8.count).elementsEqual(suffix.utf8) {
                result.append(Array(name.dropLast(suffix.utf8.count)))
            }
        }
        return result
    }

    /// Version 1 carries it alone: what is new, and all of it again after the interval.
    private mutating func metadataPieces(_ now: Int64) -> [ForwardPiece] {
        let interval = Int64(settings.metadataIntervalSeconds * 1e9)
        let due = families.filter { _, family in
            family.sentNanos.map { now - $0 >= interval } ?? true
        }
        var byTenant: [String: MetricBatch] = [:]
        var pieces: [ForwardPiece] = []
        for (key, family) in due {
            families[key]?.sentNanos = now
            byTenant[key.tenant, default: MetricBatch()].add(
                key.name, family.type, family.help, family.unit)
            if let batch = byTenant[key.tenant],
                batch.metadata.count >= settings.metadataPerRequest
            {
                pieces.append(ForwardPiece(batch: batch, tenant: Tenant(key.tenant)))
                byTenant[key.tenant] = nil
            }
        }
        for (tenant, batch) in byTenant {
            pieces.append(ForwardPiece(batch: batch, tenant: Tenant(tenant)))
        }
        return pieces
    }

    private var metricNameBytes: UnsafeRawBufferPointer {
        let name: StaticString = "__name__"
        return name.bytes
    }
}

extension ForwardAssembly.Building {
    /// Index of a series in the batch being built.
    fileprivate mutating func place(of labels: [UInt8], _ hash: UInt64) -> UInt32 {
        if let place = places[hash],
            batch.arena[batch.series[Int(place)].slice.range].elementsEqual(labels)
        {
            return place
        }
        let slice = labels.withUnsafeBytes { batch.arena.keep($0) }
        batch.series.append(LabelsRef(slice: slice, hash: hash))
        let place = UInt32(batch.series.count - 1)
        places[hash] = place
        return place
    }
}

extension MetricBatch {
    fileprivate init(decodingArray bytes: [UInt8]) throws(MalformedBytes) {
        let result = bytes.withUnsafeBytes { raw -> Result<MetricBatch, MalformedBytes> in
            do throws(MalformedBytes) {
                return .success(try MetricBatch(decoding: raw))
            } catch { return .failure(error) }
        }
        self = try result.get()
    }

    fileprivate mutating func add(
        _ family: [UInt8], _ type: MetricType, _ help: [UInt8], _ unit: [UInt8]
    ) {
        family.withUnsafeBytes { family in
            help.withUnsafeBytes { help in
                unit.withUnsafeBytes { unit in
                    addMetadata(family: family, type: type, help: help, unit: unit)
                }
            }
        }
    }

    /// The batch without points before a time; nil when none is left.
    func since(_ oldest: Int64) -> MetricBatch? {
        var kept = MetricBatch()
        kept.arena = arena
        kept.series = series
        kept.metadata = metadata
        for i in sampleSeries.indices where sampleMillis[i] >= oldest {
            kept.addSample(
                series: sampleSeries[i], millis: sampleMillis[i], value: sampleValues[i],
                startMillis: sampleStartMillis.isEmpty ? 0 : sampleStartMillis[i])
        }
        for i in histogramSeries.indices where histogramMillis[i] >= oldest {
            kept.addHistogram(
                series: histogramSeries[i], millis: histogramMillis[i], slice: histograms[i],
                startMillis: histogramStartMillis.isEmpty ? 0 : histogramStartMillis[i])
        }
        for i in exemplarSeries.indices where exemplarMillis[i] >= oldest {
            kept.exemplarSeries.append(exemplarSeries[i])
            kept.exemplarMillis.append(exemplarMillis[i])
            kept.exemplarValues.append(exemplarValues[i])
            kept.exemplarLabels.append(exemplarLabels[i])
        }
        return kept.pointCount == 0 ? nil : kept
    }
}
