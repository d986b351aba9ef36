package main

import (
	"fmt"
	"os"

	lua "github.com/yuin/gopher-lua"
	"sigs.k8s.io/yaml"
)

// The actions of Argo CD for a kind of object, as its ConfigMap has them.
type actions struct {
	Discovery   string `json:"discovery.lua"`
	Definitions []struct {
		Name   string `json:"name"`
		Action string `json:"action.lua"`
	} `json:"definitions"`
}

// What taking an action does: the annotations that the object has then. Nothing if it is not offered.
type change map[string]string

func readActions(path string) (*actions, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var read actions
	return &read, yaml.UnmarshalStrict(text, &read)
}

// take discovers what the object offers, and takes each action on a copy of its own.
func (a *actions) take(object map[string]any) (map[string]change, error) {
	offered, err := answer(a.Discovery, object)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	changes := map[string]change{}
	for _, action := range a.Definitions {
		about, ok := offered.RawGetString(action.Name).(*lua.LTable)
		if !ok {
			return nil, fmt.Errorf("%s is not discovered", action.Name)
		}
		if lua.LVAsBool(about.RawGetString("disabled")) {
			continue
		}
		changed, err := answer(action.Action, object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", action.Name, err)
		}
		changes[action.Name] = annotations(changed)
	}
	return changes, nil
}

// answer runs a script as Argo CD does: the object is `obj`, and a table is given back.
func answer(script string, object map[string]any) (*lua.LTable, error) {
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("no table: %v", state.Get(-1))
	}
	return table, nil
}

func annotations(object *lua.LTable) change {
	found := change{}
	metadata, _ := object.RawGetString("metadata").(*lua.LTable)
	if table, ok := metadata.RawGetString("annotations").(*lua.LTable); ok {
		table.ForEach(func(key, value lua.LValue) { found[key.String()] = value.String() })
	}
	return found
}
