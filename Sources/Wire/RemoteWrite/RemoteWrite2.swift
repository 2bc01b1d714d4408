// SPDX-License-Identifier: Apache-2.0
// Remote write 2.0: io.prometheus.write.v2.Request.

import Base
import Telemetry

/// `io.prometheus.write.v2.Request` both ways. Bodies come and go without their snappy
/// compression.
///
/// Source: prometheus/prometheus `prompb/io/prometheus/write/v2/types.proto`; Prometheus Remote-Write
/// 2.0 specification.
package enum RemoteWrite2 {
    /// One string of the symbol table, borrowed from the body.
    private struct Symbol {
        var bytes: UnsafeRawBufferPointer
        var isUTF8: Bool
    }

    /// The table and the references of the series being decoded.
    private struct Symbols {
        var table: [Symbol] = []
        var refs: [UInt32] = []
        var exemplarRefs: [UInt32] = []

        subscript(ref: UInt32) -> UnsafeRawBufferPointer? {
            ref < UInt32(truncatingIfNeeded: table.count) ? table[Int(ref)].bytes : nil
        }
    }

    /// Metadata of a series, and of the families that were kept already.
    private struct Metadata: Hashable {
        var type: UInt8 = 0
        var help: UInt32 = 0
        var unit: UInt32 = 0
        var familyHash: UInt64 = 0
        var isEmpty: Bool { type == 0 && help == 0 && unit == 0 }
    }

    /// References that one series may hold.
    private static let maxRefs = 1 << 20

    /// Decodes a request.
    ///
    /// See `RemoteWrite1.decode`. Metadata is kept once per family.
    ///
    /// - Throws: `MalformedBytes` when the body is not the protobuf message, when its symbol table
    ///   does not start with the empty string, or when it exceeds a limit of the whole request.
    package static func decode(
        _ plain: UnsafeRawBufferPointer, limits: MetricDecodingLimits = .init()
    ) throws(MalformedBytes) -> RemoteWriteRequest {
        var collector = SeriesCollector(limits: limits, bodyBytes: plain.count)
        // Protobuf promises no order of fields, so the table is read before any series.
        var symbols = try symbolTable(plain)
        var known: Set<Metadata> = []
        var reader = ProtobufReader(plain)
        while try reader.next() {
            switch reader.field {
            case 5: try series(reader.message(), &symbols, &collector, &known)
            default: try reader.skip()
            }
        }
        return collector.finish()
    }

    private static func symbolTable(
        _ plain: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> Symbols {
        var symbols = Symbols()
        var reader = ProtobufReader(plain)
        var hasSeries = false
        while try reader.next() {
            switch reader.field {
            case 4:
                let bytes = try reader.bytes()
                if symbols.table.isEmpty, !bytes.isEmpty {
                    throw reader.malformed("symbols table that starts with the empty string")
                }
                symbols.table.append(Symbol(bytes: bytes, isUTF8: isValidUTF8(bytes)))
            case 5:
                hasSeries = true
                try reader.skip()
            default: try reader.skip()
            }
        }
        if hasSeries, symbols.table.isEmpty {
            throw reader.malformed("symbols table that starts with the empty string")
        }
        return symbols
    }

    private static func series(
        _ message: ProtobufReader, _ symbols: inout Symbols, _ collector: inout SeriesCollector,
        _ known: inout Set<Metadata>
    ) throws(MalformedBytes) {
        var message = message
        collector.beginSeries()
        symbols.refs.removeAll(keepingCapacity: true)
        var metadata = Metadata()
        while try message.next() {
            switch message.field {
            case 1: try message.repeatedUInt32(into: &symbols.refs, limit: maxRefs)
            case 2: try collector.sample(message.message())
            case 3: try collector.histogram(message.message())
            case 4: try exemplar(message.message(), &symbols, &collector)
            case 5: metadata = try self.metadata(message.message())
            default: try message.skip()
            }
        }
        if let problem = resolve(symbols.refs, symbols.table, into: &collector.labels) {
            collector.fail(problem)
        } else if collector.hasSamplesAndHistograms {
            collector.fail(
                SeriesProblem(
                    .mixed,
                    "TimeSeries must contain either samples or histograms, not both, for series "
                        + collector.labels.excerpt))
        } else if symbols[metadata.help] == nil || symbols[metadata.unit] == nil {
            collector.fail(
                SeriesProblem(
                    .badReference,
                    "metadata references (help \(metadata.help), unit \(metadata.unit)) outside of "
                        + "symbols table (size \(symbols.table.count)) for series "
                        + collector.labels.excerpt))
        }
        let kept = try collector.endSeries(message)
        if let kept, !metadata.isEmpty { keep(metadata, kept, symbols, &collector, &known) }
    }

    /// Adds the labels that references name.
    private static func resolve(
        _ refs: [UInt32], _ table: [Symbol], into labels: inout LabelCheck
    ) -> SeriesProblem? {
        guard refs.count & 1 == 0 else {
            return SeriesProblem(
                .badReference, "invalid labelRefs length \(refs.count), must be even")
        }
        var i = 0
        while i < refs.count {
            let name = Int(refs[i]), value = Int(refs[i + 1])
            guard name < table.count, value < table.count else {
                return SeriesProblem(
                    .badReference,
                    "labelRefs \(i) (name) = \(name) or labelRefs \(i + 1) (value) = \(value) "
                        + "outside of symbols table (size \(table.count))")
            }
            labels.add(
                table[name].bytes, table[value].bytes,
                knownUTF8: table[name].isUTF8 && table[value].isUTF8)
            i += 2
        }
        return nil
    }

    private static func exemplar(
        _ message: ProtobufReader, _ symbols: inout Symbols, _ collector: inout SeriesCollector
    ) throws(MalformedBytes) {
        var message = message
        var value = 0.0
        var millis: Int64 = 0
        symbols.exemplarRefs.removeAll(keepingCapacity: true)
        while try message.next() {
            switch message.field {
            case 1: try message.repeatedUInt32(into: &symbols.exemplarRefs, limit: maxRefs)
            case 2: value = try message.double()
            case 3: millis = try message.int64()
            default: try message.skip()
            }
        }
        collector.exemplarLabels.reset()
        let problem = resolve(
            symbols.exemplarRefs, symbols.table, into: &collector.exemplarLabels)
        if var problem {
            problem.message = "exemplar: " + problem.message
            collector.refuseExemplar(problem)
        } else {
            try collector.exemplar(value: value, millis: millis, message)
        }
    }

    private static func metadata(_ message: ProtobufReader) throws(MalformedBytes) -> Metadata {
        var message = message
        var metadata = Metadata()
        while try message.next() {
            switch message.field {
            case 1: metadata.type = UInt8(truncatingIfNeeded: try message.uint32())
            case 3: metadata.help = try message.uint32()
            case 4: metadata.unit = try message.uint32()
            default: try message.skip()
            }
        }
        return metadata
    }

    /// Keeps a series' metadata under its family's name, once.
    private static func keep(
        _ metadata: Metadata, _ labels: ByteSlice, _ symbols: Symbols,
        _ collector: inout SeriesCollector, _ known: inout Set<Metadata>
    ) {
        let type = MetricType(rawValue: metadata.type) ?? .unknown
        // Copied out before the arena is written to, which would copy all of it.
        let family: [UInt8]? = collector.request.batch.arena.withSlice(labels) { labels in
            guard let name = labelValue(of: RemoteWrite2.metricName, in: labels) else { return nil }
            let family = familyName(name, type)
            var entry = metadata
            entry.familyHash = hash64(family)
            return known.insert(entry).inserted ? Array(family) : nil
        }
        guard let family else { return }
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        family.withUnsafeBytes {
            collector.request.batch.addMetadata(
                family: $0, type: type, help: symbols[metadata.help] ?? none,
                unit: symbols[metadata.unit] ?? none)
        }
    }

    static var metricName: UnsafeRawBufferPointer {
        let name: StaticString = "__name__"
        return name.bytes
    }
}

/// Name of the family a series of classic histograms and summaries belongs to; other types' series
/// carry it as it is.
func familyName(_ name: UnsafeRawBufferPointer, _ type: MetricType) -> UnsafeRawBufferPointer {
    switch type {
    case .histogram:
        without(name, "_bucket") ?? without(name, "_count") ?? without(name, "_sum") ?? name
    case .gaugeHistogram:
        without(name, "_bucket") ?? without(name, "_gcount") ?? without(name, "_gsum") ?? name
    case .summary: without(name, "_count") ?? without(name, "_sum") ?? name
    case .unknown, .counter, .gauge, .info, .stateSet: name
    }
}

/// The name without a suffix that it has, or nil.
private func without(
    _ name: UnsafeRawBufferPointer, _ suffix: StaticString
) -> UnsafeRawBufferPointer? {
    let wanted = suffix.bytes
    guard name.count > wanted.count,
        equalBytes(UnsafeRawBufferPointer(rebasing: name.suffix(wanted.count)), wanted)
    else { return nil }
    return UnsafeRawBufferPointer(rebasing: name.dropLast(wanted.count))
}
