// SPDX-License-Identifier: Apache-2.0
// One line on its way through a pipeline.

import Base
import Telemetry

/// Labels that report what went wrong with a line.
enum ErrorLabels {
    static let error = "__error__"
    static let details = "__error_details__"
    static let preserve = "__preserve_error__"

    static let errorBytes = SharedBytes(Array(error.utf8))
    static let detailsBytes = SharedBytes(Array(details.utf8))
}

/// Values of `__error__`.
enum PipelineFault: String {
    case json = "JSONParserErr"
    case logfmt = "LogfmtParserErr"
    case sampleExtraction = "SampleExtractionErr"
    case labelFilter = "LabelFilterErr"
    case template = "TemplateFormatErr"
}

/// Where a label comes from, in order of precedence for its name.
enum LabelCategory: UInt8 { case stream, metadata, parsed }

/// The line, its time and its label set while stages work on it. One per query, reused for each
/// line; all byte slices are borrowed from the batch, from constants of the query or from `arena`.
final class LineState {
    struct Entry {
        var name: Bytes
        var value: Bytes
        var category: LabelCategory
        /// Set by a parser, which does not overwrite what a parser set.
        var isExtracted: Bool
    }

    let arena = ScratchArena()
    var line = Bytes.nothing
    var nanos: Int64 = 0
    /// The line as it was stored.
    private(set) var storedLine = Bytes.nothing
    /// Canonical labels of the line's stream and of its structured metadata.
    private(set) var streamLabels = Bytes.nothing
    private(set) var metadata = Bytes.nothing
    private var isLoaded = false
    private var loaded: [Entry] = []
    private var error = Bytes.nothing
    private var errorDetails = Bytes.nothing
    /// Labels that parsers make; nil = all.
    private let wanted: [SharedBytes]?
    private let suffix = SharedBytes(Array("_extracted".utf8))

    /// Whether what is wrong with a line matters only as far as the line is looked at.
    private let stopsEarly: Bool

    /// - Parameters:
    ///   - wanted: names of labels that parsers need to make; nil = all.
    ///   - stopsEarly: whether parsers may leave the rest of a line alone when they have made them.
    init(wanted: Set<String>?, stopsEarly: Bool = false) {
        self.stopsEarly = stopsEarly
        self.wanted = wanted.map { names in
            var all = names
            // What is asked for with the suffix is found without it.
            for name in names where name.hasSuffix("_extracted") {
                all.insert(String(name.dropLast("_extracted".count)))
            }
            return all.sorted().map { SharedBytes(Array($0.utf8)) }
        }
    }

    func begin(line: Bytes, nanos: Int64, streamLabels: Bytes, metadata: Bytes) {
        arena.reset()
        self.line = line
        storedLine = line
        self.nanos = nanos
        self.streamLabels = streamLabels
        self.metadata = metadata
        isLoaded = false
        error = .nothing
        errorDetails = .nothing
    }

    /// The labels, taken apart at first use: most lines are dropped by line filters before it.
    var entries: [Entry] {
        if !isLoaded { load() }
        return loaded
    }

    private func load() {
        isLoaded = true
        loaded.removeAll(keepingCapacity: true)
        forEachLabel(in: streamLabels) { name, value in
            loaded.append(Entry(name: name, value: value, category: .stream, isExtracted: false))
        }
        guard !metadata.isEmpty else { return }
        let streamCount = loaded.count
        forEachLabel(in: metadata) { name, value in
            let clashes = loaded[..<streamCount].contains { equalBytes($0.name, name) }
            put(clashes ? arena.join(name, suffix.buffer) : name, value, .metadata, false)
        }
    }

    // MARK: reading

    private func index(of name: Bytes) -> Int? {
        if !isLoaded { load() }
        for i in loaded.indices where equalBytes(loaded[i].name, name) { return i }
        return nil
    }

    /// Value of a label, `__error__` included; nil when the line does not have it.
    func value(of name: Bytes) -> Bytes? {
        if name.count > 8, name[0] == UInt8(ascii: "_"), name[1] == UInt8(ascii: "_") {
            if equalBytes(name, ErrorLabels.errorBytes.buffer) {
                return error.isEmpty ? nil : error
            }
            if equalBytes(name, ErrorLabels.detailsBytes.buffer) {
                return errorDetails.isEmpty ? nil : errorDetails
            }
        }
        return index(of: name).map { loaded[$0].value }
    }

    var hasError: Bool { !error.isEmpty }
    var errorText: String { error.text }

    // MARK: changing

    private func put(_ name: Bytes, _ value: Bytes, _ category: LabelCategory, _ extracted: Bool) {
        let entry = Entry(name: name, value: value, category: category, isExtracted: extracted)
        for i in loaded.indices where equalBytes(loaded[i].name, name) {
            loaded[i] = entry
            return
        }
        loaded.append(entry)
    }

    /// Adds what a parser found: under its own name, or with the suffix where the stream or the
    /// structured metadata has the name already; the first of equal names is kept. Name and value
    /// must live as long as the line.
    func extract(_ name: Bytes, _ value: Bytes) {
        if let wanted, !wanted.contains(where: { equalBytes($0.buffer, name) }) { return }
        guard let i = index(of: name) else {
            loaded.append(Entry(name: name, value: value, category: .parsed, isExtracted: true))
            return
        }
        if loaded[i].category == .parsed {
            if !loaded[i].isExtracted {
                loaded[i] = Entry(name: name, value: value, category: .parsed, isExtracted: true)
            }
            return
        }
        let suffixed = arena.join(name, suffix.buffer)
        if let j = index(of: suffixed), loaded[j].isExtracted { return }
        put(suffixed, value, .parsed, true)
    }

    /// Whether a parser may spare itself this label.
    func ignores(_ name: Bytes) -> Bool {
        guard let wanted else { return false }
        return !wanted.contains { equalBytes($0.buffer, name) }
    }

    /// Whether parsers need not look at lines at all: nothing behind them reads a label.
    var wantsNothing: Bool { stopsEarly && wanted?.isEmpty ?? false }

    /// Whether parsers can stop here, since no further field could change a label that is wanted.
    /// What is wrong with the rest of the line is not found then, as in Loki.
    var hasAllWanted: Bool {
        guard stopsEarly, let wanted else { return false }
        return wanted.allSatisfy { name in
            guard let i = index(of: name.buffer) else { return false }
            return loaded[i].category != .parsed || loaded[i].isExtracted
        }
    }

    /// Sets a label as `label_format` does: whoever had it before.
    func set(_ name: Bytes, _ value: Bytes) {
        if !isLoaded { load() }
        put(name, value, .parsed, false)
    }

    func remove(_ name: Bytes) {
        if equalBytes(name, ErrorLabels.errorBytes.buffer) {
            error = .nothing
        } else if equalBytes(name, ErrorLabels.detailsBytes.buffer) {
            errorDetails = .nothing
        } else if let i = index(of: name) {
            loaded.remove(at: i)
        }
    }

    /// Keeps the labels for which `condition` holds.
    func keep(where condition: (Entry) -> Bool) {
        if !isLoaded { load() }
        loaded.removeAll { !condition($0) }
    }

    func fail(_ fault: PipelineFault, _ details: String) {
        error = arena.keep(fault.rawValue)
        errorDetails = arena.keep(details)
    }

    // MARK: output

    /// Sorts the labels by name and appends the encoding of `Labels`, except that labels with an
    /// empty value are kept, as LogQL keeps them.
    func encode(
        withErrors: Bool = true, into out: inout [UInt8],
        where isWanted: (Entry) -> Bool = { _ in true }
    ) {
        if !isLoaded { load() }
        sortByName()
        var writer = ByteWriter()
        swap(&writer.bytes, &out)
        var errorsDue = withErrors && (!error.isEmpty || !errorDetails.isEmpty)
        for entry in loaded {
            guard isWanted(entry) else { continue }
            if errorsDue, compareBytes(entry.name, ErrorLabels.errorBytes.buffer) > 0 {
                appendErrors(to: &writer)
                errorsDue = false
            }
            writer.lengthPrefixed(entry.name)
            writer.lengthPrefixed(entry.value)
        }
        if errorsDue { appendErrors(to: &writer) }
        swap(&writer.bytes, &out)
    }

    private func appendErrors(to writer: inout ByteWriter) {
        if !error.isEmpty {
            writer.lengthPrefixed(ErrorLabels.errorBytes.buffer)
            writer.lengthPrefixed(error)
        }
        if !errorDetails.isEmpty {
            writer.lengthPrefixed(ErrorLabels.detailsBytes.buffer)
            writer.lengthPrefixed(errorDetails)
        }
    }

    /// Few labels and mostly in order already: insertion sort.
    private func sortByName() {
        for i in loaded.indices.dropFirst() {
            var j = i
            while j > 0, compareBytes(loaded[j].name, loaded[j - 1].name) < 0 {
                loaded.swapAt(j, j - 1)
                j -= 1
            }
        }
    }

    /// The whole label set as `Labels`, for messages.
    func labels() -> Labels {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return Labels(canonical: bytes)
    }
}

/// A stage of a compiled pipeline.
protocol Stage: AnyObject {
    /// Works on the line; false drops it.
    func process(_ state: LineState) -> Bool
}
