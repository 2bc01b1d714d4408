// SPDX-License-Identifier: Apache-2.0
// Labels from OTLP attributes.

import Base
import Telemetry

/// Makes canonical labels of a list of `KeyValue` messages.
///
/// Keys that become the same label name are joined, their values separated by a semicolon in the
/// order of the keys. Source: prometheus/prometheus
/// `storage/remote/otlptranslator/prometheusremotewrite/helper.go`, `createAttributes`.
struct OTLPLabelSet: ~Copyable {
    private struct Pair {
        var key: UnsafeRawBufferPointer
        /// A string value, borrowed; nil when the text is in `texts`.
        var value: UnsafeRawBufferPointer?
        var text: Range<Int>
    }

    private var pairs: [Pair] = []
    private var texts: [UInt8] = []
    private var name: [UInt8] = []
    private var encoded = ByteWriter()
    /// The labels; canonical after `seal`.
    var labels = LabelSetBuffer(capacity: 1024)
    private let limits: MetricDecodingLimits
    private let naming: OTLPLabelNaming
    /// What is wrong with the attributes.
    private(set) var flaw: String?
    /// Label names that several keys became, in all sets so far.
    private(set) var collisions = 0

    init(limits: MetricDecodingLimits, naming: OTLPLabelNaming) {
        self.limits = limits
        self.naming = naming
    }

    mutating func reset() {
        pairs.removeAll(keepingCapacity: true)
        texts.removeAll(keepingCapacity: true)
        labels.reset()
        flaw = nil
    }

    /// Adds one `KeyValue`.
    mutating func add(_ keyValue: ProtobufReader) throws(MalformedBytes) {
        var message = keyValue
        var pair = Pair(key: .init(start: nil, count: 0), value: nil, text: 0..<0)
        var value: ProtobufReader?
        while try message.next() {
            switch message.field {
            case 1: pair.key = try message.bytes()
            case 2: value = try message.message()
            default: try message.skip()
            }
        }
        if limits.labelsPerSeries > 0, pairs.count >= limits.labelsPerSeries {
            flaw = flaw ?? "more than \(limits.labelsPerSeries) attributes"
            return
        }
        if let value { try read(value, into: &pair) }
        let size = pair.value?.count ?? pair.text.count
        if limits.labelNameBytes > 0, pair.key.count > limits.labelNameBytes {
            flaw = flaw ?? "attribute key longer than \(limits.labelNameBytes) bytes"
        } else if limits.labelValueBytes > 0, size > limits.labelValueBytes {
            flaw = flaw ?? "attribute value longer than \(limits.labelValueBytes) bytes"
        } else if !isValidUTF8(pair.key) || !(pair.value.map(isValidUTF8) ?? isTextValid(pair)) {
            flaw = flaw ?? "attribute that is not valid UTF-8"
        }
        pairs.append(pair)
    }

    private func isTextValid(_ pair: Pair) -> Bool {
        texts.withUnsafeBytes { isValidUTF8(UnsafeRawBufferPointer(rebasing: $0[pair.text])) }
    }

    private mutating func read(
        _ value: ProtobufReader, into pair: inout Pair
    ) throws(MalformedBytes) {
        // Nearly all values are one string, which is taken where it lies.
        var single = value
        if try single.next(), single.field == 1 {
            let text = try single.bytes()
            if single.isAtEnd {
                pair.value = text
                return
            }
        }
        encoded.bytes.removeAll(keepingCapacity: true)
        try OTLPAttributes.appendValue(value, to: &encoded)
        let start = texts.count
        var bytes: [UInt8] = []
        swap(&bytes, &encoded.bytes)
        defer { swap(&bytes, &encoded.bytes) }
        var out: [UInt8] = []
        swap(&out, &texts)
        defer { swap(&out, &texts) }
        try bytes.readBytes { (raw) throws(MalformedBytes) in
            var reader = ByteReader(raw)
            try OTLPAttributes.appendText(&reader, to: &out)
        }
        pair.text = start..<out.count
    }

    /// Calls `body` with each key and its value's text, in order.
    func forEach(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void) {
        texts.withUnsafeBytes { all in
            for pair in pairs {
                body(pair.key, pair.value ?? UnsafeRawBufferPointer(rebasing: all[pair.text]))
            }
        }
    }

    /// Text of the attribute with this key, copied.
    func text(of key: StaticString) -> [UInt8]? {
        var found: [UInt8]?
        forEach { name, value in
            if found == nil, equalBytes(name, key.bytes) { found = Array(value) }
        }
        return found
    }

    /// Turns the attributes that `include` takes into `labels`.
    ///
    /// - Parameter prefix: goes before each key.
    mutating func seal(
        prefix: StaticString = "", _ include: (UnsafeRawBufferPointer) -> Bool = { _ in true }
    ) {
        labels.reset()
        let bare = prefix.utf8CodeUnitCount == 0
        texts.withUnsafeBytes { all in
            for pair in pairs where include(pair.key) {
                let value = pair.value ?? UnsafeRawBufferPointer(rebasing: all[pair.text])
                if bare, naming.isUnchanged(pair.key) {
                    labels.append(pair.key, value)
                    continue
                }
                guard appendName(pair.key, prefix) else {
                    // The value decides nothing then; an empty one is no label anyway.
                    if !value.isEmpty {
                        flaw = flaw ?? "attribute key that leaves no label name"
                    }
                    continue
                }
                name.withUnsafeBytes { labels.append($0, value) }
            }
        }
        if !labels.seal() { join(prefix: prefix, include) }
    }

    private mutating func appendName(_ key: UnsafeRawBufferPointer, _ prefix: StaticString) -> Bool
    {
        name.removeAll(keepingCapacity: true)
        if prefix.utf8CodeUnitCount == 0 {
            return naming.append(key, to: &name)
        }
        let whole = Array(prefix.bytes) + Array(key)
        return whole.withUnsafeBytes { naming.append($0, to: &name) }
    }

    /// The slow way, for keys that collide.
    private mutating func join(
        prefix: StaticString, _ include: (UnsafeRawBufferPointer) -> Bool
    ) {
        var ordered: [(key: [UInt8], value: [UInt8])] = []
        forEach { key, value in
            if include(key) { ordered.append((Array(key), Array(value))) }
        }
        let order = ordered.indices.sorted {
            ordered[$0].key == ordered[$1].key
                ? $0 < $1 : ordered[$0].key.lexicographicallyPrecedes(ordered[$1].key)
        }
        var joined: [[UInt8]: [UInt8]] = [:]
        var names: [[UInt8]] = []
        for i in order {
            let isNamed = ordered[i].key.withUnsafeBytes { appendName($0, prefix) }
            guard isNamed else { continue }
            if let known = joined[name], !known.isEmpty {
                collisions += 1
                joined[name] = known + [UInt8(ascii: ";")] + ordered[i].value
            } else {
                if joined[name] == nil { names.append(name) }
                joined[name] = ordered[i].value
            }
        }
        labels.reset()
        for name in names {
            guard let value = joined[name] else { continue }
            name.withUnsafeBytes { n in value.withUnsafeBytes { labels.append(n, $0) } }
        }
        _ = labels.seal()
    }
}
