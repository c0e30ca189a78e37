package room

import (
	"iter"
	"slices"
)

// fewListed is how many entries a [few] keeps in a list.
const fewListed = 8

// A few is a map for what is mostly one or two in a room, and may be thousands. A small
// one is a list, which takes a tenth of the memory of a map and is read faster. The zero
// value is empty.
type few[K comparable, V any] struct {
	list []entry[K, V]
	many map[K]V // in place of the list once that would be too long
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func (f *few[K, V]) len() int { return len(f.list) + len(f.many) }

func (f *few[K, V]) get(key K) (value V, ok bool) {
	if f.many != nil {
		value, ok = f.many[key]
		return value, ok
	}
	if i := f.index(key); i >= 0 {
		return f.list[i].value, true
	}
	return value, false
}

func (f *few[K, V]) index(key K) int {
	return slices.IndexFunc(f.list, func(e entry[K, V]) bool { return e.key == key })
}

func (f *few[K, V]) set(key K, value V) {
	switch i := f.index(key); {
	case f.many != nil:
		f.many[key] = value
	case i >= 0:
		f.list[i].value = value
	case len(f.list) < fewListed:
		f.list = append(f.list, entry[K, V]{key, value})
	default:
		f.many = map[K]V{key: value}
		for _, e := range f.list {
			f.many[e.key] = e.value
		}
		f.list = nil
	}
}

// remove removes a key. What was large stays a map until it is empty.
func (f *few[K, V]) remove(key K) {
	if i := f.index(key); i >= 0 {
		f.list = slices.Delete(f.list, i, i+1)
	}
	if delete(f.many, key); len(f.many) == 0 {
		f.many = nil
	}
}

// all yields the entries in no order. They must not change meanwhile.
func (f *few[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, e := range f.list {
			if !yield(e.key, e.value) {
				return
			}
		}
		for key, value := range f.many {
			if !yield(key, value) {
				return
			}
		}
	}
}
