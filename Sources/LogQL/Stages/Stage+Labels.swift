// SPDX-License-Identifier: Apache-2.0
// | drop, | keep and | decolorize

import Base
import Telemetry

/// Removes labels, some of them only where their value matches.
final class DropStage: Stage {
    private let selections: [(name: SharedBytes, matcher: LabelMatcher?)]

    init(_ selections: [LabelSelection]) {
        self.selections = selections.map { (SharedBytes(Array($0.name.utf8)), $0.matcher) }
    }

    func process(_ state: LineState) -> Bool {
        for selection in selections {
            guard let value = state.value(of: selection.name.buffer) else { continue }
            if selection.matcher?.matches(value) ?? true { state.remove(selection.name.buffer) }
        }
        return true
    }
}

/// Removes all labels but the listed ones. What reports errors stays.
final class KeepStage: Stage {
    private let selections: [(name: SharedBytes, matcher: LabelMatcher?)]
    private let preserve = SharedBytes(Array(ErrorLabels.preserve.utf8))

    init(_ selections: [LabelSelection]) {
        self.selections = selections.map { (SharedBytes(Array($0.name.utf8)), $0.matcher) }
    }

    func process(_ state: LineState) -> Bool {
        state.keep { entry in
            if equalBytes(entry.name, preserve.buffer) { return true }
            return selections.contains { selection in
                equalBytes(selection.name.buffer, entry.name)
                    && (selection.matcher?.matches(entry.value) ?? true)
            }
        }
        return true
    }
}

/// Removes terminal colours and other control sequences (`ESC [ … letter`) from the line.
final class DecolorizeStage: Stage {
    func process(_ state: LineState) -> Bool {
        let line = state.line
        guard line.contains(0x1b) else { return true }
        let out = state.arena.allocate(line.count)
        var count = 0
        var i = 0
        while i < line.count {
            if let end = controlSequenceEnd(line, i) {
                i = end
                continue
            }
            out[count] = line[i]
            count += 1
            i += 1
        }
        state.line = Bytes(rebasing: out[..<count])
        return true
    }
}

/// End of the control sequence that starts at `start`: parameter bytes 0x30–0x3f, intermediate bytes
/// 0x20–0x2f, one final byte 0x40–0x7e. Source: ECMA-48, 5.4.
private func controlSequenceEnd(_ line: Bytes, _ start: Int) -> Int? {
    guard line[start] == 0x1b, start + 1 < line.count, line[start + 1] == UInt8(ascii: "[") else {
        return nil
    }
    var i = start + 2
    while i < line.count, (0x30...0x3f).contains(line[i]) { i += 1 }
    while i < line.count, (0x20...0x2f).contains(line[i]) { i += 1 }
    guard i < line.count, (0x40...0x7e).contains(line[i]) else { return nil }
    return i + 1
}
