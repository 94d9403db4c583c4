// A radix sort without wave operations: stable passes of 8 bits over pairs of key and number. Two passes sort the 16-bit keys
// of project.hlsl, four sort any 32-bit keys. A tile of keys is a group's; in a round of 64 keys, a thread's rank among equal
// digits is the number of bits before its own in that digit's mask.
//
// Before the first pass, key k belongs to number _Count - 1 - k, so that of equal keys the larger number comes first: drawn
// back to front, the first of equally deep Gaussians is nearest (formats.render.splat_pass).
//
// For each pass, with _Shift = 0, 8, ..: CountDigits over the tiles, ScanDigits once (DIGIT_GROUPS groups), Scatter over the tiles.
#ifndef FLAMEPORT_ORDER
#define FLAMEPORT_ORDER

#define SORT_THREADS 64
#define SORT_TILE 1024
#define SORT_DIGITS 256
#define SORT_WORDS 2
#define SCAN_PARTS 8
#define SCAN_DIGITS 8

uint _Count;
uint _Shift;

StructuredBuffer<uint> _KeysIn;
StructuredBuffer<uint> _ValuesIn;
RWStructuredBuffer<uint> _KeysOut;
RWStructuredBuffer<uint> _ValuesOut;
RWStructuredBuffer<uint> _Places; // a row of 256 per tile, and one row more: how many there are of each digit
StructuredBuffer<uint> _PlacesIn; // the same buffer, read

groupshared uint sortBins[SORT_DIGITS];
groupshared uint sortMasks[SORT_DIGITS * SORT_WORDS];
groupshared uint sortSums[SORT_THREADS];

uint digitOf(uint key) { return (key >> _Shift) & (SORT_DIGITS - 1); }

uint tilesOf(uint count) { return (count + SORT_TILE - 1) / SORT_TILE; }

// How many of each digit a tile has.
void countDigits(uint tile, uint lane)
{
    for (uint d = lane; d < SORT_DIGITS; d += SORT_THREADS)
        sortBins[d] = 0;
    GroupMemoryBarrierWithGroupSync();
    for (uint k = lane; k < SORT_TILE; k += SORT_THREADS)
    {
        uint i = tile * SORT_TILE + k;
        if (i < _Count)
            InterlockedAdd(sortBins[digitOf(_KeysIn[i])], 1u);
    }
    GroupMemoryBarrierWithGroupSync();
    for (uint e = lane; e < SORT_DIGITS; e += SORT_THREADS)
        _Places[tile * SORT_DIGITS + e] = sortBins[e];
}

// Counts become how many of the digit are in the tiles before; 8 threads share one digit's tiles.
void scanDigits(uint group, uint lane)
{
    uint tiles = tilesOf(_Count);
    uint each = (tiles + SCAN_PARTS - 1) / SCAN_PARTS;
    uint digit = group * SCAN_DIGITS + lane % SCAN_DIGITS;
    uint first = min(lane / SCAN_DIGITS * each, tiles);
    uint end = min(first + each, tiles);
    uint sum = 0;
    for (uint t = first; t < end; t++)
        sum += _Places[t * SORT_DIGITS + digit];
    sortSums[lane] = sum;
    GroupMemoryBarrierWithGroupSync();
    uint next = 0;
    for (uint k = lane % SCAN_DIGITS; k < lane; k += SCAN_DIGITS)
        next += sortSums[k];
    if (lane >= (SCAN_PARTS - 1) * SCAN_DIGITS)
        _Places[tiles * SORT_DIGITS + digit] = next + sum;
    for (uint s = first; s < end; s++)
    {
        uint here = _Places[s * SORT_DIGITS + digit];
        _Places[s * SORT_DIGITS + digit] = next;
        next += here;
    }
}

void scatter(uint tile, uint lane)
{
    // Where each digit begins: smaller digits of all tiles, then this one of the tiles before.
    uint own = SORT_DIGITS / SORT_THREADS;
    uint totals = tilesOf(_Count) * SORT_DIGITS;
    uint sum = 0;
    for (uint a = lane * own; a < (lane + 1) * own; a++)
    {
        sum += _PlacesIn[totals + a];
        sortMasks[a * SORT_WORDS] = 0;
        sortMasks[a * SORT_WORDS + 1] = 0;
    }
    sortSums[lane] = sum;
    GroupMemoryBarrierWithGroupSync();
    uint begin = 0;
    for (uint b = 0; b < lane; b++)
        begin += sortSums[b];
    for (uint c = lane * own; c < (lane + 1) * own; c++)
    {
        sortBins[c] = begin + _PlacesIn[tile * SORT_DIGITS + c];
        begin += _PlacesIn[totals + c];
    }
    GroupMemoryBarrierWithGroupSync();
    uint word = lane / 32;
    uint bit = lane % 32;
    for (uint r = 0; r < SORT_TILE; r += SORT_THREADS)
    {
        uint i = tile * SORT_TILE + r + lane;
        bool inside = i < _Count;
        uint key = 0;
        uint digit = 0;
        if (inside)
        {
            key = _KeysIn[i];
            digit = digitOf(key);
            InterlockedOr(sortMasks[digit * SORT_WORDS + word], 1u << bit);
        }
        GroupMemoryBarrierWithGroupSync();
        uint place = 0;
        bool isLast = false;
        if (inside)
        {
            uint low = sortMasks[digit * SORT_WORDS];
            uint high = sortMasks[digit * SORT_WORDS + 1];
            uint mine = word == 0 ? low : high;
            uint before = countbits(mine & ((1u << bit) - 1u)) + (word == 0 ? 0u : countbits(low));
            isLast = (mine >> bit) == 1u && (word == 1 || high == 0);
            place = sortBins[digit] + before;
            _KeysOut[place] = key;
            uint value = _Count - 1u - i;
            if (_Shift != 0)
                value = _ValuesIn[i];
            _ValuesOut[place] = value;
        }
        GroupMemoryBarrierWithGroupSync();
        if (isLast)
        {
            sortBins[digit] = place + 1;
            sortMasks[digit * SORT_WORDS] = 0;
            sortMasks[digit * SORT_WORDS + 1] = 0;
        }
        GroupMemoryBarrierWithGroupSync();
    }
}

#endif
