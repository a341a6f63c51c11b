"""To-do lists."""

import uuid

from homeassistant.components.todo import TodoItem, TodoItemStatus, TodoListEntity, TodoListEntityFeature

from .entity import Fixture, adds


class TodoList(Fixture, TodoListEntity):
    features = staticmethod(TodoListEntityFeature)

    def begin(self, state, attributes):
        items = attributes.get("todo_items") or []
        self._attr_todo_items = [TodoItem(uid=str(at), summary=str(it), status=TodoItemStatus.NEEDS_ACTION) for at, it in enumerate(items)]

    async def async_create_todo_item(self, item):
        item.uid = uuid.uuid4().hex
        self.now(todo_items=[*self._attr_todo_items, item])

    async def async_delete_todo_items(self, uids):
        self.now(todo_items=[it for it in self._attr_todo_items if it.uid not in uids])


async_setup_entry = adds("todo", TodoList)
