// SPDX-License-Identifier: Apache-2.0
// Drawing with characters.

/// A grid of dots shown as characters: braille patterns with 2×4 dots each, or, in locales without
/// UTF-8, `.`, `'` and `:` with 1×2 dots.
struct DotCanvas {
    let columns: Int
    let rows: Int
    private let unicode: Bool
    /// Dots across and down.
    let dotsAcross: Int
    let dotsDown: Int
    private var cells: [UInt8]
    private var styles: [Style]

    init(columns: Int, rows: Int, unicode: Bool) {
        self.columns = max(1, columns)
        self.rows = max(1, rows)
        self.unicode = unicode
        dotsAcross = self.columns * (unicode ? 2 : 1)
        dotsDown = self.rows * (unicode ? 4 : 2)
        cells = [UInt8](repeating: 0, count: self.columns * self.rows)
        styles = [Style](repeating: .plain, count: cells.count)
    }

    /// Sets a dot; the origin is top left, dots outside are nothing.
    mutating func set(_ x: Int, _ y: Int, _ style: Style) {
        guard x >= 0, y >= 0, x < dotsAcross, y < dotsDown else { return }
        let across = dotsAcross / columns
        let down = dotsDown / rows
        let cell = (y / down) * columns + x / across
        // Unicode numbers braille dots 1 2 3 7 in the left column and 4 5 6 8 in the right one.
        let bits: [UInt8] =
            unicode ? [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80] : [0x01, 0x02]
        cells[cell] |= bits[(y % down) * across + x % across]
        styles[cell] = style
    }

    /// Sets the dots of a straight line.
    mutating func line(from a: (x: Int, y: Int), to b: (x: Int, y: Int), _ style: Style) {
        let a = (x: min(max(a.x, -1), dotsAcross), y: min(max(a.y, -1), dotsDown))
        let b = (x: min(max(b.x, -1), dotsAcross), y: min(max(b.y, -1), dotsDown))
        let steps = max(abs(b.x - a.x), abs(b.y - a.y))
        guard steps > 0 else { return set(a.x, a.y, style) }
        for i in 0...steps {
            set(a.x + (b.x - a.x) * i / steps, a.y + (b.y - a.y) * i / steps, style)
        }
    }

    /// Adds a row of characters to a line.
    func add(row: Int, to line: inout StyledText) {
        for column in 0..<columns {
            let cell = row * columns + column
            line.add(character(cells[cell]), styles[cell])
        }
    }

    private func character(_ bits: UInt8) -> String {
        if bits == 0 { return " " }
        if unicode { return Unicode.Scalar(0x2800 + UInt32(bits)).map { String($0) } ?? " " }
        return bits == 1 ? "'" : bits == 2 ? "." : ":"
    }
}
