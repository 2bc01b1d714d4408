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
    package mutating func moveToStart() { cursor = 0 }
    package mutating func moveToEnd() { cursor = characters.count }
    package mutating func moveWordLeft() { cursor = wordStart() }
    package mutating func moveWordRight() {
        while cursor < characters.count, !isWord(characters[cursor]) { cursor += 1 }
        while cursor < characters.count, isWord(characters[cursor]) { cursor += 1 }
    }
    package mutating func killToEnd() {
        killed = Array(characters[cursor...])
        characters.removeSubrange(cursor...)
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
