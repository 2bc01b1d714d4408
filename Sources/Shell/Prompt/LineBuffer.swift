// SPDX-License-Identifier: Apache-2.0
// The line being edited, without a terminal.

/// Text with a cursor and the editing operations of Emacs mode. Pure: keys go in, text comes out.
package struct LineBuffer: Sendable, Equatable {
    package private(set) var characters: [Character] = []
    /// Index of the character under the cursor; `characters.count` at the end.
    package private(set) var cursor = 0
    private var killed: [Character] = []

    package init(_ text: String = "") {
        characters = Array(text)
        cursor = characters.count
    }

    package var text: String { String(characters) }
    package var isEmpty: Bool { characters.isEmpty }

    package mutating func insert(_ text: String) {
        let added = Array(text)
        characters.insert(contentsOf: added, at: cursor)
        cursor += added.count
    }
    package mutating func replace(with text: String) {
        characters = Array(text)
        cursor = characters.count
    }
    /// Puts a text in place of some characters; the cursor is after it.
    package mutating func replace(_ range: Range<Int>, with text: String) {
        let range = range.clamped(to: 0..<characters.count)
        let added = Array(text)
        characters.replaceSubrange(range, with: added)
        cursor = range.lowerBound + added.count
    }
    package mutating func backspace() {
        guard cursor > 0 else { return }
        cursor -= 1
        characters.remove(at: cursor)
    }
    package mutating func delete() {
        if cursor < characters.count { characters.remove(at: cursor) }
    }
    package mutating func moveLeft() { cursor = max(0, cursor - 1) }
    package mutating func moveRight() { cursor = min(characters.count, cursor + 1) }
    /// To the start of the line that the cursor is on.
    package mutating func moveToStart() { cursor = lineStart(before: cursor) }
    /// To the end of the line that the cursor is on.
    package mutating func moveToEnd() {
        cursor = characters[cursor...].firstIndex(where: \.isNewline) ?? characters.count
    }
    /// A line up, in the same column; false when there is none.
    package mutating func moveUp() -> Bool {
        let start = lineStart(before: cursor)
        guard start > 0 else { return false }
        let above = lineStart(before: start - 1)
        cursor = min(above + (cursor - start), start - 1)
        return true
    }
    /// A line down, in the same column; false when there is none.
    package mutating func moveDown() -> Bool {
        guard let end = characters[cursor...].firstIndex(where: \.isNewline) else { return false }
        let column = cursor - lineStart(before: cursor)
        let nextEnd =
            characters[(end + 1)...].firstIndex(where: \.isNewline) ?? characters.count
        cursor = min(end + 1 + column, nextEnd)
        return true
    }
    private func lineStart(before index: Int) -> Int {
        characters[..<index].lastIndex(where: \.isNewline).map { $0 + 1 } ?? 0
    }
    package mutating func moveWordLeft() { cursor = wordStart() }
    package mutating func moveWordRight() {
        while cursor < characters.count, !isWord(characters[cursor]) { cursor += 1 }
        while cursor < characters.count, isWord(characters[cursor]) { cursor += 1 }
    }
    package mutating func killToEnd() {
        let end = characters[cursor...].firstIndex(where: \.isNewline) ?? characters.count
        killed = Array(characters[cursor..<end])
        characters.removeSubrange(cursor..<end)
    }
    package mutating func killToStart() {
        killed = Array(characters[..<cursor])
        characters.removeSubrange(..<cursor)
        cursor = 0
    }
    package mutating func killWord() {
        let start = wordStart()
        killed = Array(characters[start..<cursor])
        characters.removeSubrange(start..<cursor)
        cursor = start
    }
    package mutating func yank() { insert(String(killed)) }
    package mutating func transpose() {
        guard cursor > 0, characters.count > 1 else { return }
        let at = cursor == characters.count ? cursor - 1 : cursor
        characters.swapAt(at - 1, at)
        cursor = at + 1
    }

    private func wordStart() -> Int {
        var i = cursor
        while i > 0, !isWord(characters[i - 1]) { i -= 1 }
        while i > 0, isWord(characters[i - 1]) { i -= 1 }
        return i
    }
    private func isWord(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }
}
