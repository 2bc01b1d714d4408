// SPDX-License-Identifier: Apache-2.0
// | unwrap

import Base

/// Takes a number out of a label. Lines without the label are dropped silently; a value that is no
/// number keeps the line and marks it with `__error__`.
final class UnwrapStage: Stage {
    private let label: SharedBytes
    private let conversion: UnwrapSyntax.Conversion?
    /// The last line's number.
    private(set) var value = 0.0

    init(_ syntax: UnwrapSyntax) {
        label = SharedBytes(Array(syntax.label.utf8))
        conversion = syntax.conversion
    }

    func process(_ state: LineState) -> Bool {
        value = 0
        guard let text = state.value(of: label.buffer), !text.isEmpty else { return false }
        switch conversion {
        case nil:
            if let number = parseFloat(text) {
                value = number
            } else {
                state.fail(
                    .sampleExtraction,
                    "strconv.ParseFloat: parsing \(quotedText(text.text)): invalid syntax")
            }
        case .bytes:
            if let size = ByteSize.parse(text.text) {
                value = Double(size)
            } else {
                state.fail(
                    .sampleExtraction, "unhandled size name or number: \(text.text)")
            }
        case .duration, .durationSeconds:
            do {
                value = Double(try parseGoDuration(text.text)) / 1e9
            } catch {
                state.fail(.sampleExtraction, error.description)
            }
        }
        return true
    }
}
