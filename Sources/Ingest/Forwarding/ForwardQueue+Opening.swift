// SPDX-License-Identifier: Apache-2.0
// Finding the queue again, and who reads it.

import Base

extension ForwardQueue {
    /// Reads what a directory holds. Damage ends a segment early and is told.
    static func scan(
        _ directory: String, _ files: any FileSystem, _ warn: (String) -> Void
    ) throws(FileError) -> State {
        var state = State()
        let names: [String]
        do throws(FileError) {
            names = try files.list(directory)
        } catch {
            guard error.isMissing else { throw error }
            return state
        }
        if names.contains("state") {
            state.mark = ForwardMark.read(try files.readAll(directory + "/state"))
            if state.mark == nil { warn("forwarding: \(directory)/state is damaged") }
        }
        if let place = state.mark?.place { state.nextNumber = place.segment + 1 }
        for number in names.compactMap(ForwardFormat.number).sorted() {
            state.nextNumber = max(state.nextNumber, number + 1)
            let path = directory + "/" + ForwardFormat.name(number)
            guard let size = try files.size(path), size > 0 else {
                try files.remove(path)
                continue
            }
            let bytes = try files.map(path)
            state.read(bytes.buffer, number, warn)
            // What a kill left unsynced counts as taken from now on.
            guard number >= state.mark?.place.segment ?? 0 else { continue }
            let file = try files.open(path)
            defer { file.close() }
            try file.sync()
        }
        try files.syncDirectory(directory)
        return state
    }

    /// Says who reads the queue. Those that are new begin at its end, those that are gone are
    /// forgotten; without any the queue is emptied and takes nothing. Blocks.
    package func setDestinations(_ names: [String]) throws(FileError) {
        let wanted = Set(names)
        let (gone, new) = state.withLock { state in
            (
                state.destinations.filter { !wanted.contains($0.key) },
                names.filter { state.destinations[$0] == nil }
            )
        }
        for (name, destination) in gone {
            state.change { state in state.destinations[name] = nil }
            destination.file.close()
        }
        if !new.isEmpty { try makeDirectory() }
        for name in new { try add(name) }
        try removeStrayFiles(wanted)
        if wanted.isEmpty {
            let numbers = state.withLock { state in
                defer { state.segments = [] }
                return state.segments.map(\.number)
            }
            remove(numbers)
        } else {
            try markBeginning()
            dropReadSegments()
        }
    }

    /// Makes the directory and its name durable.
    private func makeDirectory() throws(FileError) {
        try files.makeDirectory(directory)
        let parent = directory.lastIndex(of: "/").map { String(directory[..<$0]) } ?? "."
        try files.syncDirectory(parent.isEmpty ? "/" : parent)
    }

    /// Records that the queue is in use: after a crash what is only in the log belongs here.
    private func markBeginning() throws(FileError) {
        let mark = state.withLock { state -> ForwardMark? in
            state.mark == nil ? ForwardMark(boundary: 0, place: state.end) : nil
        }
        guard let mark else { return }
        try files.replace(directory + "/state", in: directory, with: mark.bytes)
        state.withLock { $0.mark = mark }
    }

    private func add(_ name: String) throws(FileError) {
        let path = cursorPath(name)
        let isThere = try files.size(path) != nil
        let found = isThere ? ForwardCursor.read(try files.readAll(path)) : nil
        if isThere, found == nil {
            warn("forwarding: \(path) is damaged: what is queued for \(name) may be sent twice")
        }
        let file = isThere ? try files.open(path) : try files.create(path)
        let cursor = state.change { state -> ForwardCursor in
            // A segment that a power cut took must not come again under its number.
            if let found { state.nextNumber = max(state.nextNumber, found.place.segment + 1) }
            // Sending twice is better than not at all.
            let lost = isThere ? ForwardCursor(place: ForwardPosition(segment: 0, offset: 0)) : nil
            let cursor = (found ?? lost).map { state.placed($0) } ?? state.cursorAtEnd
            state.destinations[name] = Destination(path: path, file: file, cursor: cursor)
            return cursor
        }
        try write(cursor, file)
        try file.sync()
        try files.syncDirectory(directory)
    }

    private func removeStrayFiles(_ names: Set<String>) throws(FileError) {
        let kept = Set(names.map(cursorPath))
        let found: [String]
        do throws(FileError) {
            found = try files.list(directory)
        } catch {
            guard error.isMissing else { throw error }
            return
        }
        for file in found {
            let path = directory + "/" + file
            let isStray =
                file.hasSuffix(".cursor") && !kept.contains(path)
                || file == "state" && names.isEmpty
            if isStray { try files.remove(path) }
        }
        if names.isEmpty { state.withLock { $0.mark = nil } }
    }

    private func cursorPath(_ name: String) -> String {
        let digits = String(hash64(Array(name.utf8)), radix: 16)
        return directory + "/" + String(repeating: "0", count: 16 - digits.count) + digits
            + ".cursor"
    }

    /// Puts a cursor into the older of its slots. Not synced: a power cut may lead to batches being
    /// sent twice, the end of the process does not.
    func write(_ cursor: ForwardCursor, _ file: any WritableFile) throws(FileError) {
        try file.write([cursor.bytes], at: cursor.slotOffset)
    }

    /// Removes the segments that every destination has read.
    func dropReadSegments() {
        let numbers = state.withLock { state -> [UInt64] in
            let first = state.destinations.values.map(\.cursor.place.segment).min() ?? 0
            var numbers: [UInt64] = []
            while state.segments.count > 1, let segment = state.segments.first,
                segment.number < first
            {
                numbers.append(segment.number)
                state.segments.removeFirst()
            }
            return numbers
        }
        remove(numbers)
    }
}

extension ForwardQueue.State {
    /// Takes up a segment as far as its records hold.
    fileprivate mutating func read(
        _ bytes: UnsafeRawBufferPointer, _ number: UInt64, _ warn: (String) -> Void
    ) {
        guard ForwardFormat.isSegmentHeader(bytes, number) else {
            return warn("forwarding: segment \(number) has no valid header and is left out")
        }
        var segment = ForwardQueue.Segment(
            number: number, byteCount: ForwardFormat.headerCount)
        while let header = ForwardRecordHeader.parse(bytes, at: segment.byteCount),
            header.totalCount <= bytes.count - segment.byteCount
        {
            let place = ForwardPosition(segment: number, offset: segment.byteCount)
            if mark.map({ place >= $0.place }) ?? true {
                let start = segment.byteCount + ForwardFormat.recordHeaderCount
                let end = segment.byteCount + header.totalCount
                // Not durable when the process ended: the log has it.
                guard
                    crc32c(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                        == header.contentCRC
                else { break }
                known.insert(header.sequence)
                recent.append((header.sequence, place))
            }
            segment.byteCount += header.totalCount
            segment.points += header.points
            segment.newestMillis = max(segment.newestMillis, header.millis)
        }
        if segment.byteCount < bytes.count, let mark,
            ForwardPosition(segment: number, offset: segment.byteCount) < mark.place
        {
            warn(
                "forwarding: segment \(number) is damaged from byte \(segment.byteCount) on; "
                    + "the rest of it is lost")
        }
        segments.append(segment)
    }

    fileprivate var cursorAtEnd: ForwardCursor {
        ForwardCursor(place: end, points: segments.last?.points ?? 0)
    }

    /// A cursor as it stands in what is left of the queue.
    fileprivate func placed(_ cursor: ForwardCursor) -> ForwardCursor {
        var cursor = cursor
        cursor.count &+= 1
        guard let segment = segments.first(where: { $0.number >= cursor.place.segment }) else {
            var end = cursorAtEnd
            // Nothing was written after the segments that the cursor had left behind.
            end.place = ForwardPosition(segment: nextNumber, offset: ForwardFormat.headerCount)
            end.points = 0
            end.count = cursor.count
            return end
        }
        if segment.number > cursor.place.segment {
            cursor.place = ForwardPosition(
                segment: segment.number, offset: ForwardFormat.headerCount)
            cursor.points = 0
            cursor.window = nil
        } else if cursor.place.offset > segment.byteCount {
            cursor.place.offset = segment.byteCount
            cursor.points = segment.points
            cursor.window = nil
        }
        if let window = cursor.window, window.end < cursor.place || window.end > end {
            cursor.window = nil
        }
        return cursor
    }
}
