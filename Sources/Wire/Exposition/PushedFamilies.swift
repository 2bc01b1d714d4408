// SPDX-License-Identifier: Apache-2.0
// An exposition that is pushed under a grouping key.

import Base
import Telemetry

/// One metric family of a push. Samples have the time 0: the time is when they are exposed.
package struct PushedFamily: Sendable {
    package var name: String
    package var type: MetricType
    /// Samples, histograms and the family's metadata. Exemplars are left out: exposed again and
    /// again they would say what is not so.
    package var batch = MetricBatch()

    package init(name: String, type: MetricType) {
        self.name = name
        self.type = type
    }
}

/// The two encodings of a push.
package enum PushedFormat: Sendable {
    case text, protobuf
}

/// Expositions as the Pushgateway takes them.
///
/// Labels of the grouping key replace those of the series; timestamps are refused, since what is
/// exposed later has the time of later. Source: prometheus/pushgateway README, `handler/push.go`,
/// `storage/diskmetricstore.go`.
package enum PushedFamilies {
    /// Decodes a push into families, ascending by name.
    ///
    /// - Parameter grouping: labels of the group; an empty value takes the label away.
    /// - Throws: what keeps the whole push out.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, _ format: PushedFormat,
        grouping: [(name: String, value: String)]
    ) throws(ExpositionError) -> [PushedFamily] {
        guard bytes.count <= Exposition.maxBytes else {
            throw ExpositionError(
                "push of more than \(Exposition.maxBytes) bytes", offset: 0)
        }
        var collector = FamilySorter(grouping: grouping)
        switch format {
        case .text: try readText(bytes, &collector)
        case .protobuf: try readProtobuf(bytes, &collector)
        }
        return collector.finish()
    }

    private static func readText(
        _ bytes: UnsafeRawBufferPointer, _ collector: inout FamilySorter
    ) throws(ExpositionError) {
        var parser = ExpositionParser(bytes, .text)
        var labels = LabelSetBuffer()
        var typed: [UInt8] = []
        while let entry = try parser.next() {
            switch entry {
            case .comment: break
            case .help, .unit, .type:
                let type = parser.type
                parser.withMetadata { family, text in
                    if entry == .type { typed = Array(family) }
                    collector.note(entry, family, type, text)
                }
            case .series:
                guard parser.timestampMillis == nil else {
                    throw parser.failure("pushed metrics must not have timestamps")
                }
                labels.reset()
                parser.appendLabels(to: &labels)
                if let name = labels.firstDuplicate() {
                    throw parser.failure("label name \"\(name)\" is not unique: invalid sample")
                }
                guard let name = labelValue(of: RemoteWrite2.metricName, in: labels.bytes) else {
                    throw parser.failure("sample without a metric name")
                }
                let belongs = typed.withUnsafeBytes {
                    equalBytes($0, name) || equalBytes($0, familyName(name, parser.type))
                }
                let family = belongs ? typed : Array(name)
                let isNew = collector.add(
                    family, belongs ? parser.type : .unknown, labels.bytes, value: parser.value)
                guard isNew else {
                    throw parser.failure(
                        "metric \(labels.text) was collected before with the same name and label "
                            + "values")
                }
            }
        }
    }

    private static func readProtobuf(
        _ bytes: UnsafeRawBufferPointer, _ collector: inout FamilySorter
    ) throws(ExpositionError) {
        var options = MetricFamilies.Options()
        options.keepsClassicHistograms = true
        let decoded = try MetricFamilies.decode(bytes, scrapeMillis: 0, options: options)
        guard !decoded.isExplicit.contains(true), !decoded.isHistogramExplicit.contains(true)
        else { throw ExpositionError("pushed metrics must not have timestamps", offset: 0) }
        if let name = collector.add(decoded.batch) {
            throw ExpositionError(
                "metric \(name) was collected before with the same name and label values",
                offset: 0)
        }
    }
}

/// Puts series into families and the group's labels on them.
private struct FamilySorter: ~Copyable {
    private var families: [[UInt8]: PushedFamily] = [:]
    private var help: [[UInt8]: (type: MetricType, help: [UInt8], unit: [UInt8])] = [:]
    private let grouping: [(name: [UInt8], value: [UInt8])]
    private var labels = LabelSetBuffer()
    private var seen: Set<Labels> = []

    init(grouping: [(name: String, value: String)]) {
        self.grouping = grouping.map { (Array($0.name.utf8), Array($0.value.utf8)) }
    }

    mutating func note(
        _ entry: ExpositionParser.Entry, _ family: UnsafeRawBufferPointer, _ type: MetricType,
        _ text: UnsafeRawBufferPointer
    ) {
        let name = Array(family)
        var known = help[name] ?? (.unknown, [], [])
        switch entry {
        case .help: known.help = Array(text)
        case .unit: known.unit = Array(text)
        case .type: known.type = type
        case .comment, .series: break
        }
        help[name] = known
    }

    /// The series' labels with those of the group.
    private mutating func regroup(_ canonical: UnsafeRawBufferPointer) -> Labels {
        labels.reset()
        forEachLabel(in: canonical) { name, value in
            if !grouping.contains(where: { $0.name.elementsEqual(name) }) {
                labels.append(name, value)
            }
        }
        for label in grouping {
            label.name.withUnsafeBytes { name in
                label.value.withUnsafeBytes { labels.append(name, $0) }
            }
        }
        _ = labels.seal()
        return Labels(canonical: Array(labels.bytes))
    }

    /// Adds a sample; false when the series is there already.
    mutating func add(
        _ family: [UInt8], _ type: MetricType, _ canonical: UnsafeRawBufferPointer, value: Double
    ) -> Bool {
        let labels = regroup(canonical)
        guard seen.insert(labels).inserted else { return false }
        with(family, type) { batch in
            batch.addSample(series: batch.addSeries(labels), millis: 0, value: value)
        }
        return true
    }

    private mutating func with(
        _ family: [UInt8], _ type: MetricType, _ body: (inout MetricBatch) -> Void
    ) {
        body(
            &families[
                family,
                default: PushedFamily(name: String(decoding: family, as: UTF8.self), type: type)
            ].batch)
    }

    /// Adds a decoded protobuf exposition; returns a series that is there twice.
    mutating func add(_ batch: MetricBatch) -> String? {
        var types: [[UInt8]: MetricType] = [:]
        for entry in batch.metadata {
            let name = Array(batch.arena[entry.family.range])
            types[name] = entry.type
            help[name] = (
                entry.type, Array(batch.arena[entry.help.range]),
                Array(batch.arena[entry.unit.range])
            )
        }
        var repeated: String?
        var places: [(family: [UInt8], series: UInt32)] = []
        for ref in batch.series {
            let exposed = batch.arena.labels(ref)
            let family = Self.family(of: exposed["__name__"] ?? "", types)
            let labels = exposed.bytes.withUnsafeBytes { regroup($0) }
            if !seen.insert(labels).inserted { repeated = repeated ?? labels.description }
            var series: UInt32 = 0
            with(family, types[family] ?? .unknown) { series = $0.addSeries(labels) }
            places.append((family, series))
        }
        for i in batch.sampleSeries.indices {
            let place = places[Int(batch.sampleSeries[i])]
            let start = batch.sampleStartMillis.isEmpty ? 0 : batch.sampleStartMillis[i]
            with(place.family, .unknown) {
                $0.addSample(
                    series: place.series, millis: 0, value: batch.sampleValues[i],
                    startMillis: start)
            }
        }
        for i in batch.histogramSeries.indices {
            let place = places[Int(batch.histogramSeries[i])]
            let start = batch.histogramStartMillis.isEmpty ? 0 : batch.histogramStartMillis[i]
            with(place.family, .unknown) { target in
                let slice = batch.arena.withSlice(batch.histograms[i]) { target.arena.keep($0) }
                target.addHistogram(
                    series: place.series, millis: 0, slice: slice, startMillis: start)
            }
        }
        return repeated
    }

    /// The family among those declared that a series' name belongs to.
    private static func family(of name: String, _ types: [[UInt8]: MetricType]) -> [UInt8] {
        let own = Array(name.utf8)
        if types[own] != nil { return own }
        for suffix in ["_bucket", "_count", "_sum", "_gcount", "_gsum"] where name.hasSuffix(suffix)
        {
            let base = Array(name.utf8.dropLast(suffix.utf8.count))
            if types[base] != nil { return base }
        }
        return own
    }

    consuming func finish() -> [PushedFamily] {
        for (name, text) in help where families[name] == nil {
            families[name] = PushedFamily(
                name: String(decoding: name, as: UTF8.self), type: text.type)
        }
        var result: [PushedFamily] = []
        for (name, family) in families {
            var family = family
            if let text = help[name] {
                family.type = text.type
                name.withUnsafeBytes { name in
                    text.help.withUnsafeBytes { help in
                        text.unit.withUnsafeBytes {
                            family.batch.addMetadata(
                                family: name, type: text.type, help: help, unit: $0)
                        }
                    }
                }
            }
            result.append(family)
        }
        return result.sorted { $0.name < $1.name }
    }
}
