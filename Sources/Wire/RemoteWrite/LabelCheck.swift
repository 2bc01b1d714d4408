// SPDX-License-Identifier: Apache-2.0
// The rules a series' labels must obey.

import Base
import Telemetry

/// Collects the labels of one series and remembers the first rule that one of them breaks.
///
/// Source: prometheus/prometheus `storage/remote/write_handler.go` (names under the UTF-8 scheme).
struct LabelCheck: ~Copyable {
    var buffer = LabelSetBuffer()
    let limits: MetricDecodingLimits
    private var flaw = Flaw.none
    /// Whether texts were added whose UTF-8 nobody has checked.
    private var isUnchecked = false

    enum Flaw: UInt8 {
        case none, emptyName, notUTF8, tooMany, nameTooLong, valueTooLong
    }

    init(limits: MetricDecodingLimits) { self.limits = limits }

    mutating func reset() {
        buffer.reset()
        flaw = .none
        isUnchecked = false
    }

    /// Adds a label. What breaks a rule is still added, shortened, so that a message can show it.
    ///
    /// - Parameter knownUTF8: whether name and value were checked before.
    mutating func add(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, knownUTF8: Bool = false
    ) {
        if flaw == .none {
            if name.isEmpty {
                flaw = .emptyName
            } else if limits.labelNameBytes > 0, name.count > limits.labelNameBytes {
                flaw = .nameTooLong
            } else if limits.labelValueBytes > 0, value.count > limits.labelValueBytes {
                flaw = .valueTooLong
            } else if limits.labelsPerSeries > 0, buffer.labelCount >= limits.labelsPerSeries,
                !value.isEmpty
            {
                flaw = .tooMany
            } else {
                buffer.append(name, value)
                if !knownUTF8 { isUnchecked = true }
                return
            }
        }
        guard buffer.labelCount < 16 else { return }
        buffer.append(
            UnsafeRawBufferPointer(rebasing: name.prefix(64)),
            UnsafeRawBufferPointer(rebasing: value.prefix(64)))
    }

    /// Puts the labels in order and returns what is wrong with them.
    mutating func seal(requireName: Bool = true) -> SeriesProblem? {
        // Lengths below 128 are ASCII too, so one pass over all labels settles most of them.
        if isUnchecked, flaw == .none, !isASCII(buffer.bytes) {
            forEachLabel(in: buffer.bytes) { name, value in
                if !isValidUTF8(name) || !isValidUTF8(value) { flaw = .notUTF8 }
            }
        }
        switch flaw {
        case .none: break
        case .emptyName, .notUTF8:
            return SeriesProblem(
                .invalidLabels, "invalid metric name or labels, got \(buffer.text)")
        case .tooMany:
            return SeriesProblem(
                .limit, "more than \(limits.labelsPerSeries) labels in series \(excerpt)")
        case .nameTooLong:
            return SeriesProblem(
                .limit,
                "label name longer than \(limits.labelNameBytes) bytes in series \(excerpt)")
        case .valueTooLong:
            return SeriesProblem(
                .limit,
                "label value longer than \(limits.labelValueBytes) bytes in series \(excerpt)")
        }
        if requireName, !buffer.hasMetricName {
            return SeriesProblem(.invalidLabels, "invalid metric name or labels, got \(excerpt)")
        }
        if buffer.isSealed { return nil }
        let text = excerpt
        guard let name = buffer.firstDuplicate() else { return nil }
        return SeriesProblem(
            .duplicateLabel, "invalid labels for series, labels \(text), duplicated label \(name)")
    }

    /// The labels as text, cut to a length that suits a message.
    var excerpt: String {
        let text = buffer.text
        return text.utf8.count <= 512 ? text : String(text.prefix(512)) + "…"
    }
}
