// SPDX-License-Identifier: Apache-2.0
// The frames of one part that go into another.

import Base
import Storage

/// A part whose blocks are taken over by a merge: what became of its frames so far. Belongs to one
/// builder on one thread.
final class CarriedPart {
    let part: LogPart
    let cache: FrameCache
    /// Numbers of frames in the new part, by their numbers in this one.
    private var moved: [UInt32: UInt32] = [:]
    /// Numbers of the search index's units in the new part, by their numbers in this one.
    private(set) var units: [Int: Int] = [:]
    /// Whether frames are compressed anew.
    private let recompresses: Bool

    /// - Parameter recompresses: the new part's level of compression is another.
    init(_ part: LogPart, _ cache: FrameCache, recompresses: Bool) {
        self.part = part
        self.cache = cache
        self.recompresses = recompresses
    }

    /// The bytes of a column of a block.
    func column(_ place: ColumnLocation, ofBlock number: Int) throws -> [UInt8] {
        try part.column(place, number, cache) { bytes, _ in Array(bytes) }
    }

    /// Takes over the frame of lines that a place lies in, unless it is there already.
    ///
    /// - Returns: the place in the new part.
    func move(
        _ place: ColumnLocation, into store: inout FrameStore, _ search: inout SearchIndexBuilder
    ) throws -> ColumnLocation {
        var location = place
        if let known = moved[place.frame] {
            location.frame = known
            return location
        }
        let index = store.reserve()
        if recompresses {
            // Nothing else keeps the frame while it is copied.
            let plain = try part.frame(place.frame, nil).withBytes { Array($0) }
            store.store(plain, as: index)
        } else {
            try part.withStored(place.frame) { store.copy($0, $1, as: index) }
        }
        location.frame = UInt32(index)
        moved[place.frame] = location.frame
        if let unit = part.search.unit(ofFrame: place.frame) {
            let known = part.search.units[unit]
            var filter: [UInt8] = []
            if known.ids.place.count > 0 {
                let frame = try part.frame(known.ids.place.frame, cache)
                filter = frame.withBytes { _ in Array(known.ids.place.bytes(in: frame)) }
            }
            units[unit] = search.carry(known, filter: filter, as: location.frame, in: &store)
        }
        return location
    }
}
